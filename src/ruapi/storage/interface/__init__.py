"""The Store: verbs, not queries. One verb, one transaction; no connection and no cursor leaks out.

Two audiences share it. The data plane uses the verbs of ``money`` (``place_hold`` … ``append_log``), which
are asynchronous, commit in groups and return when the change is durable. Administration uses the list and save verbs
of each noun; ``save_…`` also records a change, which running servers obey. ``administration`` holds them, together with
those of ``keys``, ``sign_in`` and ``reports``.

The modules of the same names beside this package implement them; the audit log and the settings, which belong to
``reports``, are implemented in ``audit``.

Every verb raises ``Unavailable`` when the database cannot be used, ``Conflict`` when a unique name or
reference exists, and stores what it is given: ids and instants are made by the caller.
"""
