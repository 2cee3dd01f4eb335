"""The table of dialects that callers may speak, and what each needs to pass its own kind through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ruapi.dialects.anthropic_messages import errors as messages_errors
from ruapi.dialects.anthropic_messages import forward as messages_forward
from ruapi.dialects.anthropic_messages import passage as messages_passage
from ruapi.dialects.call import CallFacts
from ruapi.dialects.openai_chat import errors as chat_errors
from ruapi.dialects.openai_chat import forward as chat_forward
from ruapi.dialects.openai_chat import passage as chat_passage
from ruapi.dialects.passage import Reading, StreamPassage
from ruapi.errors import Problem


class Edit(Protocol):
    """See ``forward.edit`` of each dialect."""

    def __call__(
        self,
        body: bytes,
        document: dict[str, Any],
        facts: CallFacts,
        *,
        model: str,
        output_tokens_max: int | None,
        output_field: str = ...,
    ) -> bytes:
        """The caller's bytes with what must change."""
        ...


class ClientDialect(msgspec.Struct, frozen=True, kw_only=True):
    """What the pipeline needs of a dialect whose calls pass through in their own kind."""

    name: str
    upstream_path: str
    """Appended to a channel's base URL."""
    read_call: Callable[[dict[str, Any]], CallFacts]
    edit: Edit
    read_answer: Callable[[bytes], Reading | None]
    open_passage: Callable[..., StreamPassage]
    shape_error: Callable[[Problem, str], bytes]


OPENAI_CHAT = ClientDialect(
    name="openai_chat",
    upstream_path="/chat/completions",
    read_call=chat_forward.read_call,
    edit=chat_forward.edit,
    read_answer=chat_passage.read_answer,
    open_passage=chat_passage.ChatStreamPassage,
    shape_error=chat_errors.shape,
)

ANTHROPIC_MESSAGES = ClientDialect(
    name="anthropic_messages",
    upstream_path="/v1/messages",
    read_call=messages_forward.read_call,
    edit=messages_forward.edit,
    read_answer=messages_passage.read_answer,
    open_passage=messages_passage.MessagesStreamPassage,
    shape_error=messages_errors.shape,
)
