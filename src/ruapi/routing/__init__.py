"""Which channel serves a call, in which order they are tried, and when another one is worth a try. Pure."""
