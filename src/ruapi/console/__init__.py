"""The console: HTML for people, rendered on the server, that works without JavaScript.

``static`` and ``templates`` are the design system (console.css opens with its rules, each macro documents
itself), ``formats`` and ``charts`` turn integers into text and SVG. Pages call the use cases of
``administration`` and know no SQL.
"""
