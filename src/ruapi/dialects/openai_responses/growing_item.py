"""What the decoder of a stream remembers of an item while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruapi.canon.parts import Part
    from ruapi.dialects.openai_responses.output_items import Phase


class GrowingItem:
    """What is known of one item while it grows."""

    __slots__ = (
        "cited",
        "closed",
        "done",
        "heads",
        "held",
        "kind",
        "odds",
        "paragraph",
        "phase",
        "streamed",
        "unwrapped",
    )

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.phase: Phase | None = None
        self.streamed = False  # whether any of its deltas came
        self.done = False
        self.heads: dict[int, type[Part]] = {}  # what the parts of content are
        self.closed: set[int] = set()  # parts of content that stopped
        self.cited: dict[int, int] = {}  # how many annotations of a part came
        self.odds: set[int] = set()  # parts of content whose log probabilities came
        self.paragraph: tuple[str, int] | None = None  # the open paragraph of reasoning
        self.unwrapped = False  # a free-text tool in the disguise of a function: its arguments are held
        self.held: list[str] = []
