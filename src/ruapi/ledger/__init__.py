"""The rules of money without any I/O: the states of a hold, what may be granted, what a settlement posts."""
