"""Builds everything; the only place that names a driver.

``store`` opens the database for commands, ``server`` is one server process, ``probing`` tries a channel. They are
apart because a command that lists keys must not load a gateway.
"""
