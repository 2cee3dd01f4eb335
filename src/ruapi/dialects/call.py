"""What the gateway must know of a call before it may hold money for it, in any dialect.

Each client dialect reads a decoded body into a ``CallFacts``. Only what decides is read; everything else
passes untouched.
"""

from __future__ import annotations

from typing import Any

import msgspec

# No provider takes or gives more tokens, choices or text in a name than this; what is beyond is a mistake.
TOKENS_ABSURD = 100_000_000
CHOICES_MAX = 128
MODEL_NAME_MAX = 256


class InvalidField(ValueError):
    """A field cannot be used; ``field`` names it and the message says what it must be."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one call that admission, routing and relaying decide by."""

    model: str
    stream: bool = False
    output_tokens_max: int | None = None
    """The caller's own cap on output tokens per choice; None when there is none."""
    output_field: str | None = None
    """The member that carried that cap."""
    choices: int = 1
    usage_wanted: bool = True
    """Whether the caller will see the usage of a stream."""
    hosted_calls_max: int = 0
    """How often tools that the provider runs, and bills by use, may be used."""
    cache_writes: bool = False
    """Whether the request may write to a prompt cache at the dearer rate."""


def read_model(document: dict[str, Any]) -> str:
    """The ``model`` member. Raises ``InvalidField``."""
    model = document.get("model")
    if type(model) is not str or not model:
        raise InvalidField("model", "'model' is missing: name the model to call")
    if len(model) > MODEL_NAME_MAX or not model.isprintable():
        raise InvalidField("model", f"'model' must be a name of at most {MODEL_NAME_MAX} printable characters")
    return model


def read_flag(document: dict[str, Any], name: str) -> bool:
    """An optional true or false. Raises ``InvalidField``."""
    value = document.get(name)
    if value is None or type(value) is bool:
        return bool(value)
    raise InvalidField(name, f"'{name}' must be true or false")


def read_count(document: dict[str, Any], name: str, *, most: int) -> int | None:
    """An optional whole number from 1 to ``most``. Raises ``InvalidField``."""
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidField(name, f"'{name}' must be a whole number from 1 to {most}")
    return value


_HOSTED = ("web_search", "web_fetch", "code_execution", "code_interpreter", "file_search", "image_generation")
HOSTED_CALLS_ASSUMED = 10
"""Uses of one hosted tool in one call, where the caller sets no maximum; our guess, to hold money by."""


def read_hosted_calls(document: dict[str, Any]) -> int:
    """The most uses of tools that the provider runs itself; 0 without such tools."""
    calls = HOSTED_CALLS_ASSUMED if type(document.get("web_search_options")) is dict else 0
    tools = document.get("tools")
    if type(tools) is not list:
        return calls
    for tool in tools:
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is str and kind.startswith(_HOSTED):
            most = tool.get("max_uses")
            calls += most if type(most) is int and 0 < most <= CHOICES_MAX else HOSTED_CALLS_ASSUMED
    return calls


def read_messages(document: dict[str, Any]) -> None:
    """Check the required ``messages``: a list of objects. Raises ``InvalidField``."""
    for message in read_list(document, "messages"):
        if type(message) is not dict:
            raise InvalidField("messages", "'messages' must hold objects, each with a 'role' and a 'content'")


def read_list(document: dict[str, Any], name: str) -> list[Any]:
    """A required list with at least one entry. Raises ``InvalidField``."""
    value = document.get(name)
    if type(value) is not list or not value:
        raise InvalidField(name, f"'{name}' must be a list with at least one entry")
    return value
