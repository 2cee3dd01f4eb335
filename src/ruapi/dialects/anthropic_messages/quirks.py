"""How models and servers of this dialect differ, each with where it is written.

The configuration of channels takes its defaults from here; the codec itself tests fields, never names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ruapi.dialects.dialect import Quirks

if TYPE_CHECKING:
    from ruapi.canon.request import Effort

_EFFORTS_4_6: tuple[Effort, ...] = ("low", "medium", "high", "max")
_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the models of one provider whose names hold one of the stems."""

    provider: str
    stems: tuple[str, ...]
    """Parts of model names; empty for all models of the provider."""
    quirks: Quirks
    source: str


_DOCUMENTATION = "https://platform.claude.com/docs/en/"

ROWS: tuple[Row, ...] = (
    # First match wins: newest first, and the vendor's current models before the general row at its end.
    Row(
        provider="anthropic",
        stems=("fable", "mythos"),
        quirks=Quirks(sampling=False, efforts=_EFFORTS, reasoning_off=False),
        source=_DOCUMENTATION + "build-with-claude/adaptive-thinking",
    ),
    Row(
        provider="anthropic",
        stems=("opus-4-7",),
        quirks=Quirks(sampling=False, system_anywhere=False, efforts=_EFFORTS),
        source=_DOCUMENTATION + "about-claude/models/whats-new-claude-4-7",
    ),
    Row(
        provider="anthropic",
        stems=("opus-4-6", "sonnet-4-6"),
        quirks=Quirks(system_anywhere=False, efforts=_EFFORTS_4_6),
        source=_DOCUMENTATION + "build-with-claude/effort",
    ),
    Row(
        provider="anthropic",
        stems=("opus-4-5", "sonnet-4-5", "haiku-4-5", "opus-4-1"),
        quirks=Quirks(
            system_anywhere=False,
            assistant_prefill=True,
            top_p_with_temperature=False,
            reasoning_control="budget",
        ),
        source=_DOCUMENTATION + "about-claude/models/migration-guide",
    ),
    Row(
        provider="anthropic",
        stems=("opus-4-0", "opus-4-2025", "opus-4@", "sonnet-4-0", "sonnet-4-2025", "sonnet-4@", "3-7-sonnet"),
        quirks=Quirks(
            system_anywhere=False,
            assistant_prefill=True,
            reasoning_control="budget",
            structured_output=False,
            strict_tools=False,
        ),
        source=_DOCUMENTATION + "build-with-claude/structured-outputs",
    ),
    Row(
        provider="anthropic",
        stems=("claude-3",),
        quirks=Quirks(
            system_anywhere=False,
            assistant_prefill=True,
            reasoning_control="none",
            structured_output=False,
            strict_tools=False,
        ),
        source=_DOCUMENTATION + "build-with-claude/extended-thinking",
    ),
    Row(
        provider="anthropic",
        stems=(),
        quirks=Quirks(sampling=False, efforts=_EFFORTS),
        source=_DOCUMENTATION + "build-with-claude/mid-conversation-system-messages",
    ),
    Row(
        provider="deepseek",
        stems=(),
        quirks=Quirks(
            system_anywhere=False,
            assistant_prefill=True,
            image_input=False,
            document_input=False,
            tool_result_media=False,
            temperature_max=2.0,
            structured_output=False,
            strict_tools=False,
            web_search=False,
            parallel_tool_calls=False,
            cache_marks="none",
            reasoning_control="budget",
        ),
        source="https://api-docs.deepseek.com/guides/anthropic_api",
    ),
)


def quirks_of(provider: str, model: str) -> Quirks:
    """What is known of a model at a provider; the dialect's defaults where nothing is."""
    for row in ROWS:
        if row.provider == provider and (not row.stems or any(stem in model for stem in row.stems)):
            return row.quirks
    return Quirks()
