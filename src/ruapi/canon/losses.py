"""What a translation could not carry, by name.

Nothing is dropped silently. Whoever drops, alters or approximates something says so with a ``Loss``: a
stable name that programs can match, a sentence for people, and a severity.

* ``harmless``: the model is asked the same thing and the caller can read the answer the same way. Something
  that only saves money, labels, steers style or eases observation is harmless.
* ``meaning``: the answer may be another one than the caller asked for, or is missing something that the
  caller asked for. Strict mode refuses these.

The name stands in a response header, so it is ``[a-z0-9_.]+`` and never holds the caller's data; ``where``
and ``detail`` are for the log. Names out of ``CATALOGUE`` have their sentence here. A field of a dialect
without canonical meaning becomes ``field.<name>`` through ``unsupported_field``.
"""

from __future__ import annotations

import re
from typing import Literal

from ruapi.canon.parts import Canonical

Severity = Literal["harmless", "meaning"]

LOSSES_MAX = 64
"""How many distinct losses one translation lists; further ones become a single ``more_losses``."""


class Loss(Canonical, frozen=True, kw_only=True):
    """One thing that one translation could not carry."""

    name: str
    severity: Severity
    sentence: str
    where: str | None = None
    """A path into the request or answer, such as ``turns[3].parts[0]``."""
    detail: str | None = None
    """The value at stake, shortened; for logs, never for headers."""


# name: (severity, sentence). Alphabetical within each group.
CATALOGUE: dict[str, tuple[Severity, str]] = {
    # What the model is asked.
    "assistant_prefill": ("meaning", "The target model cannot continue an assistant turn that was begun."),
    "audio_input": ("meaning", "The target takes no sound; a placeholder names what was left out."),
    "builtin_tool": ("meaning", "The target has no counterpart of a tool that the provider runs."),
    "builtin_tool_history": ("harmless", "Earlier uses of a provider's own tool are not replayed elsewhere."),
    "builtin_tool_settings": ("meaning", "Some settings of a provider's own tool have no counterpart."),
    "citation_details": ("harmless", "Positions or tokens inside citations have no counterpart."),
    "citations": ("meaning", "The target cannot cite its sources as asked."),
    "document_context": ("harmless", "A document's context or title was written as text before it."),
    "document_input": (
        "meaning",
        "The target takes no such document; a placeholder names what was left out.",
    ),
    "file_reference": ("meaning", "A file id belongs to another provider; a placeholder names it."),
    "image_detail": ("harmless", "The target has no setting for how closely to look at an image."),
    "image_input": ("meaning", "The target takes no such image; a placeholder names what was left out."),
    "message_phase": ("harmless", "Whether a message is commentary or the final answer has no counterpart."),
    "participant_name": ("harmless", "A participant's name has no counterpart."),
    "remote_url": ("meaning", "The target does not fetch URLs; a placeholder names what was left out."),
    "system_position": ("meaning", "Instructions in mid-conversation were given with less authority."),
    "system_media": ("meaning", "Instructions can only be text in the target."),
    "tool_position": ("harmless", "Tools that were added in mid-conversation are declared from the start."),
    "tool_result_error": ("harmless", "The target has no mark for a failed tool; its text says so."),
    "tool_result_media_moved": ("harmless", "Media in a tool result follow it in a user message."),
    "tool_result_media": ("meaning", "The target takes no such media in a tool result."),
    "unknown_content": ("meaning", "Content that only its own provider knows was left out."),
    "video_input": ("meaning", "The target takes no video; a placeholder names what was left out."),
    # Reasoning.
    "foreign_reasoning": ("harmless", "Reasoning of another provider is of no use to the target."),
    "reasoning_budget": ("harmless", "A reasoning budget and a level of effort were taken for one another."),
    "reasoning_control": ("meaning", "The target has no such control over reasoning."),
    "reasoning_off_for_history": (
        "meaning",
        "Reasoning is off: the history lacks the target's own reasoning.",
    ),
    "reasoning_signature": ("harmless", "Reasoning cannot be handed back to its model by this client."),
    "reasoning_text": ("harmless", "The client's dialect has no place for reasoning text."),
    "reasoning_visibility": ("harmless", "Whether reasoning is shown or summarised cannot be chosen."),
    # Tools.
    "custom_tool": ("harmless", "A free-text tool is declared as a function with one text argument."),
    "custom_tool_grammar": ("meaning", "The grammar of a free-text tool is only described, not enforced."),
    "parallel_tool_calls": ("meaning", "The target cannot be kept to one tool call at a time."),
    "strict_tool": ("meaning", "The target does not enforce the schema of tool arguments."),
    "tool_arguments": ("meaning", "Arguments of an earlier call are no JSON object; they were wrapped."),
    "tool_choice": ("meaning", "The target cannot be made to choose among tools as asked."),
    "tool_deferred": ("harmless", "A tool to be found on demand is declared from the start."),
    "tool_name": ("harmless", "A tool's name was rewritten for the target and is restored in the answer."),
    "tool_schema": ("meaning", "Some keywords of a JSON schema are unknown to the target and were left out."),
    # Sampling and shape of the answer.
    "choices": ("meaning", "The target gives one answer at a time."),
    "frequency_penalty": ("meaning", "The target has no frequency penalty."),
    "json_object": ("meaning", "The target has no JSON mode without a schema."),
    "json_schema": ("meaning", "The target does not enforce a JSON schema for its answer."),
    "logit_bias": ("meaning", "The target cannot bias tokens."),
    "logprobs": ("meaning", "The target gives no log probabilities."),
    "max_output_tokens": ("meaning", "The limit on output was changed to what the target allows."),
    "min_p": ("meaning", "The target has no min_p."),
    "presence_penalty": ("meaning", "The target has no presence penalty."),
    "repetition_penalty": ("meaning", "The target has no repetition penalty."),
    "sampling": ("meaning", "The target model fixes its own temperature and top_p."),
    "seed": ("meaning", "The target takes no seed."),
    "stop_sequences": ("meaning", "The target takes no stop sequences, or fewer."),
    "temperature_range": ("meaning", "The temperature was cut to the target's range."),
    "top_k": ("meaning", "The target has no top_k."),
    "top_p": ("meaning", "The target does not take top_p, or not together with temperature."),
    "verbosity": ("harmless", "The target has no level of verbosity."),
    # Around the answer.
    "cache_mark": ("harmless", "A cache mark has no counterpart; caching may cost or save differently."),
    "cache_ttl": ("harmless", "The cache lifetime was changed to what the target offers."),
    "end_user": ("harmless", "The end user's identifier has no counterpart."),
    "metadata": ("harmless", "Metadata has no counterpart."),
    "prompt_cache_key": ("harmless", "The cache routing key has no counterpart."),
    "service_tier": ("harmless", "The service tier has no counterpart."),
    # In answers.
    "answer_audio": ("meaning", "The client's dialect has no place for sound in an answer."),
    "answer_image": ("meaning", "The client's dialect has no place for an image in an answer."),
    "answer_choices": ("meaning", "The client's dialect has room for one answer only."),
    "answer_part": ("meaning", "The answer holds content that the client's dialect has no place for."),
    "refusal_details": ("harmless", "The category or wording of a refusal has no place of its own."),
    "stop_details": ("harmless", "Why the model stopped is told with a more general word."),
    "usage_details": ("harmless", "Some classes of token counts have no place of their own."),
    # For everything else.
    "more_losses": ("meaning", "There were more losses than are listed."),
}

# Vendor fields that merely label, route, store or observe. Every other unsupported field may matter.
HARMLESS_FIELDS = frozenset(
    {
        "client_metadata",
        "inference_geo",
        "labels",
        "obfuscation",
        "prediction",
        "prompt_cache_options",
        "prompt_cache_retention",
        "provider",
        "safety_identifier",
        "speed",
        "store",
        "stream_options",
    }
)

_NOT_IN_NAMES = re.compile(r"[^a-z0-9_.]")
_DETAIL_CHARACTERS_MAX = 200
_FIELD_CHARACTERS_MAX = 64


def loss(name: str, *, where: str | None = None, detail: object = None) -> Loss:
    """A loss out of the catalogue. A name that is not in it is a mistake of the codec: KeyError."""
    severity, sentence = CATALOGUE[name]
    shown = None if detail is None else str(detail)[:_DETAIL_CHARACTERS_MAX]
    return Loss(name=name, severity=severity, sentence=sentence, where=where, detail=shown)


def unsupported_field(field: str, *, severity: Severity | None = None, detail: object = None) -> Loss:
    """The loss of a dialect's own field, by its wire name.

    Without a severity, fields that are known to be harmless are, and all others may change the meaning:
    a field that nobody here knows might do anything.
    """
    clean = _NOT_IN_NAMES.sub("_", field.lower()[:_FIELD_CHARACTERS_MAX])
    return Loss(
        name=f"field.{clean}",
        severity=severity or ("harmless" if clean in HARMLESS_FIELDS else "meaning"),
        sentence="A field that only its own dialect knows was left out.",
        where=field[:_DETAIL_CHARACTERS_MAX],
        detail=None if detail is None else str(detail)[:_DETAIL_CHARACTERS_MAX],
    )


class LossRecorder:
    """Collects the losses of one translation: each name once, and never more than ``LOSSES_MAX``."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, Loss] = {}

    def add(self, name: str, *, where: str | None = None, detail: object = None) -> None:
        """Note a loss out of the catalogue."""
        if name not in self._found:
            self.note(loss(name, where=where, detail=detail))

    def note(self, found: Loss) -> None:
        """Note a loss that is already made, such as one of ``unsupported_field`` or of a decoder."""
        if found.name in self._found:
            return
        if len(self._found) >= LOSSES_MAX:
            found = loss("more_losses")
        self._found[found.name] = found

    @property
    def found(self) -> tuple[Loss, ...]:
        """What was noted, in the order of its first occurrence."""
        return tuple(self._found.values())
