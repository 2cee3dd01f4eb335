"""The table of dialects: what callers may speak, and the codecs behind every crossing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ruapi.dialects.anthropic_messages import errors as messages_errors
from ruapi.dialects.anthropic_messages import forward as messages_forward
from ruapi.dialects.anthropic_messages import passage as messages_passage
from ruapi.dialects.anthropic_messages import quirks as messages_quirks
from ruapi.dialects.anthropic_messages.codec import CODEC as MESSAGES_CODEC
from ruapi.dialects.call import CallFacts
from ruapi.dialects.dialect import Dialect, Quirks
from ruapi.dialects.gemini import quirks as gemini_quirks
from ruapi.dialects.gemini.codec import CODEC as GEMINI_CODEC
from ruapi.dialects.openai_chat import errors as chat_errors
from ruapi.dialects.openai_chat import forward as chat_forward
from ruapi.dialects.openai_chat import passage as chat_passage
from ruapi.dialects.openai_chat import quirks as chat_quirks
from ruapi.dialects.openai_chat.codec import CODEC as CHAT_CODEC
from ruapi.dialects.openai_embeddings import forward as embeddings_forward
from ruapi.dialects.openai_embeddings import passage as embeddings_passage
from ruapi.dialects.openai_responses import errors as responses_errors
from ruapi.dialects.openai_responses import forward as responses_forward
from ruapi.dialects.openai_responses import passage as responses_passage
from ruapi.dialects.openai_responses import quirks as responses_quirks
from ruapi.dialects.openai_responses.codec import CODEC as RESPONSES_CODEC
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
    """What the pipeline needs of a dialect that callers speak."""

    name: str
    upstream_path: str
    """Appended to a channel's base URL where the call passes through in its own dialect."""
    read_call: Callable[[dict[str, Any]], CallFacts]
    edit: Edit
    read_answer: Callable[[bytes], Reading | None]
    open_passage: Callable[..., StreamPassage]
    shape_error: Callable[[Problem, str], bytes]
    ping: bytes = b": keep-alive\n\n"
    """A frame that keeps a silent stream open and says nothing: an SSE comment where the dialect has no such event."""
    codec: Dialect | None
    """For channels of another dialect; None where nothing else means the same."""


CODECS: dict[str, Dialect] = {
    "openai_chat": CHAT_CODEC,
    "openai_responses": RESPONSES_CODEC,
    "anthropic_messages": MESSAGES_CODEC,
    "gemini": GEMINI_CODEC,
}

OPENAI_CHAT = ClientDialect(
    name="openai_chat",
    upstream_path="/chat/completions",
    read_call=chat_forward.read_call,
    edit=chat_forward.edit,
    read_answer=chat_passage.read_answer,
    open_passage=chat_passage.ChatStreamPassage,
    shape_error=chat_errors.shape,
    codec=CHAT_CODEC,
)

OPENAI_RESPONSES = ClientDialect(
    name="openai_responses",
    upstream_path="/responses",
    read_call=responses_forward.read_call,
    edit=responses_forward.edit,
    read_answer=responses_passage.read_answer,
    open_passage=responses_passage.ResponsesStreamPassage,
    shape_error=responses_errors.shape,
    codec=RESPONSES_CODEC,
)

OPENAI_EMBEDDINGS = ClientDialect(
    name="openai_embeddings",
    upstream_path="/embeddings",
    read_call=embeddings_forward.read_call,
    edit=embeddings_forward.edit,
    read_answer=embeddings_passage.read_answer,
    open_passage=embeddings_passage.open_passage,
    shape_error=chat_errors.shape,
    codec=None,
)

ANTHROPIC_MESSAGES = ClientDialect(
    name="anthropic_messages",
    upstream_path="/v1/messages",
    read_call=messages_forward.read_call,
    edit=messages_forward.edit,
    read_answer=messages_passage.read_answer,
    open_passage=messages_passage.MessagesStreamPassage,
    shape_error=messages_errors.shape,
    ping=b'event: ping\ndata: {"type": "ping"}\n\n',
    codec=MESSAGES_CODEC,
)


def quirks_of(dialect: str, model: str, provider: str, output_tokens_max: int | None) -> Quirks:
    """How the model of this provider differs from its dialect, and how much output it may be asked for."""
    if dialect == "anthropic_messages":
        # What the vendor's rows say of its current models says nothing of another's model behind its protocol.
        foreign = provider == "anthropic" and "claude" not in model
        found = Quirks() if foreign else messages_quirks.quirks_of(provider, model)
    elif dialect == "gemini":
        found = gemini_quirks.quirks_of(model)
    elif dialect == "openai_chat":
        found = chat_quirks.quirks_of(provider, model)
    else:
        found = responses_quirks.QUIRKS.get(provider, Quirks())
    if output_tokens_max is not None:
        found = msgspec.structs.replace(found, output_tokens_max=output_tokens_max)
    return found
