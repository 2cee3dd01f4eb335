"""Wire formats: one codec per dialect, between its bytes and the canonical form.

``dialect`` is the protocol that each codec implements, with the rules for its author; ``sse`` frames the
streams. Codecs are pure and never import one another.
"""
