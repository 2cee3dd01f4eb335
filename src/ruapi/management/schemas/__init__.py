"""What goes in and out, noun by noun: a module here for each module of routes.

Bodies take the fields that they list and no other: whoever sends ``role`` or ``balance`` where it does not belong
is told so, never obeyed. Types are strict: no text counts as a number, nor a number as a truth.

Rows are what ``administration`` describes; a field that is described and not listed here does not go out.
"""
