"""What the encoder of a stream remembers of the part and the message that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruapi.canon.parts import Citation, Part, Signature, TokenLogprob
    from ruapi.dialects.openai_responses.output_writer import Item


class OpenPart:
    """The part that is being streamed, and everything that was added to it."""

    __slots__ = ("citations", "delta", "head", "item_id", "logprobs", "pieces", "signature")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        self.logprobs: list[TokenLogprob] = []
        self.signature: Signature | None = None
        self.item_id = ""  # empty until the item was added
        self.delta = b""  # the frame of a delta up to its text, once one can come


class OpenMessage:
    """The message that is open, over one part or several."""

    __slots__ = ("content", "item_id", "phase")

    def __init__(self, item_id: str, phase: str | None) -> None:
        self.item_id = item_id
        self.phase = phase
        self.content: list[Item] = []
