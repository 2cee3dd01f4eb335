"""How Google's models differ, as a table for the configuration of channels.

Codecs never look here: they are handed ``Quirks``. Each row names the start of a model's name and where the
facts were read. The first row that fits counts; a model without a row gets the last one.
"""

from __future__ import annotations

import msgspec

from ruapi.dialects.dialect import Quirks

THINKING = "https://ai.google.dev/gemini-api/docs/thinking"
SIGNATURES = "https://ai.google.dev/gemini-api/docs/thought-signatures"
GEMINI_3 = "https://ai.google.dev/gemini-api/docs/gemini-3"
FUNCTIONS = "https://ai.google.dev/gemini-api/docs/function-calling"
MODELS = "https://ai.google.dev/gemini-api/docs/models"
FILES = "https://ai.google.dev/gemini-api/docs/file-input-methods"


class ModelQuirks(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    prefix: str
    """How the model's name starts."""
    quirks: Quirks
    sources: tuple[str, ...]
    """Pages of the vendor that say so."""


_GEMINI_3 = Quirks(
    system_anywhere=False,
    assistant_prefill=True,
    audio_input=True,
    video_input=True,
    tool_result_media=True,
    parallel_tool_calls=False,
    temperature_max=2.0,
    stop_sequences_max=5,
    output_tokens_max=65_536,
    reasoning_control="effort",
    efforts=("minimal", "low", "medium", "high"),
    reasoning_off=False,
    call_signatures_required=True,
    cache_marks="none",
)
_GEMINI_2_5 = msgspec.structs.replace(
    _GEMINI_3,
    tool_result_media=False,
    reasoning_control="budget",
    reasoning_budget_min_tokens=1,
    reasoning_budget_max_tokens=24_576,
    reasoning_off=True,
    call_signatures_required=False,
)

MODEL_QUIRKS: tuple[ModelQuirks, ...] = (
    ModelQuirks(
        prefix="gemini-2.5-pro",
        quirks=msgspec.structs.replace(
            _GEMINI_2_5,
            reasoning_budget_min_tokens=128,
            reasoning_budget_max_tokens=32_768,
            reasoning_off=False,
        ),
        sources=(THINKING, FUNCTIONS, MODELS),
    ),
    ModelQuirks(
        prefix="gemini-2.5-flash-lite",
        quirks=msgspec.structs.replace(_GEMINI_2_5, reasoning_budget_min_tokens=512),
        sources=(THINKING, FUNCTIONS, MODELS),
    ),
    ModelQuirks(prefix="gemini-2.5-flash", quirks=_GEMINI_2_5, sources=(THINKING, FUNCTIONS, MODELS)),
    ModelQuirks(
        prefix="gemini-2.0",
        quirks=msgspec.structs.replace(
            _GEMINI_2_5, reasoning_control="none", output_tokens_max=8_192, remote_urls=False
        ),
        sources=(THINKING, MODELS, FILES),
    ),
    ModelQuirks(
        prefix="gemini-3-pro",
        quirks=msgspec.structs.replace(_GEMINI_3, efforts=("low", "high")),
        sources=(THINKING, SIGNATURES, GEMINI_3),
    ),
    ModelQuirks(
        prefix="gemini-3.1-pro",
        quirks=msgspec.structs.replace(_GEMINI_3, efforts=("low", "medium", "high")),
        sources=(THINKING, SIGNATURES, GEMINI_3),
    ),
    ModelQuirks(prefix="gemini-", quirks=_GEMINI_3, sources=(THINKING, SIGNATURES, GEMINI_3)),
)


def quirks_of(model: str) -> Quirks:
    """The row for a model name, with or without ``models/`` before it."""
    name = model.rpartition("/")[2]
    for row in MODEL_QUIRKS:
        if name.startswith(row.prefix):
            return row.quirks
    return MODEL_QUIRKS[-1].quirks
