"""``thoughtSignature`` and the canonical reasoning that it stands for, both ways.

Gemini signs thoughts, but also the text or call that follows thoughts which it does not show
(https://ai.google.dev/gemini-api/docs/thought-signatures). The canonical form keeps such a signature as a
``Reasoning`` without text directly before the part it sits on.
"""

from __future__ import annotations

import base64
import binascii

from ruapi.canon.parts import (
    SEAL_PREFIX_BASE64,
    Origin,
    Reasoning,
    Signature,
    is_sealed,
    seal,
    unseal,
)
from ruapi.dialects.gemini.wire import OWN, standard_base64

STAND_IN = "skip_thought_signature_validator"
"""What the vendor lets stand for the signature of a call that Gemini did not make itself."""

# All documented stand-ins, also as SDKs write them, which encode them once more. They sign nothing.
# https://ai.google.dev/gemini-api/docs/gemini-3#migrating_from_other_models
_STAND_INS = frozenset(
    spelled
    for word in (STAND_IN, "context_engineering_is_the_way_to_go")
    for spelled in (word, standard_base64(word), base64.b64encode(word.encode()).decode())
)


def signed(
    value: str, origin: Origin, *, text: str = "", next_part: bool = False, call_id: str | None = None
) -> Reasoning:
    """The reasoning that a bare signature of this origin stands for."""
    return Reasoning(
        text=text,
        form="summary" if text else "full",
        signature=Signature(
            origin=origin,
            kind="encrypted",
            value=value,
            binding="next_part" if next_part else "own",
            call_id=call_id,
        ),
    )


def opened(value: str, *, text: str = "", next_part: bool = False, call_id: str | None = None) -> Reasoning | None:
    """The reasoning of a signature that a client returns: sealed by us or bare; None for a damaged one."""
    if value.startswith(SEAL_PREFIX_BASE64):
        try:
            sealed = base64.b64decode(standard_base64(value), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        return unseal(sealed, text=text)
    if is_sealed(value):
        return unseal(value, text=text)
    return signed(value, OWN, text=text, next_part=next_part, call_id=call_id)


def is_stand_in(value: str) -> bool:
    """Whether it only stands for a signature."""
    return value in _STAND_INS


def for_client(reasoning: Reasoning) -> str | None:
    """The ``thoughtSignature`` that hands this reasoning to a Gemini client; None if it is unsigned."""
    signature = reasoning.signature
    if signature is None:
        return None
    if signature.origin.dialect == "gemini":
        return signature.value
    return base64.b64encode(seal(reasoning, include_text=False).encode()).decode()
