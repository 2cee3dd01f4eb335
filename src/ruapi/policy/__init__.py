"""What a key may do: decisions without any I/O. Each gives a ``Problem`` to refuse with, or None."""
