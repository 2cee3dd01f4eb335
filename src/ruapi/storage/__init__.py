"""Durable state: a Store of verbs (``interface``), rows as structs (``records``), and the databases behind it."""
