"""Parts as values, and reasoning that travels sealed through clients of other dialects."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon.parts import (
    SEAL_PREFIX,
    SEAL_PREFIX_BASE64,
    Base64Data,
    Image,
    Origin,
    Part,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
    is_sealed,
    seal,
    unseal,
)

CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")
OPENAI = Origin(dialect="openai_responses", issuer="openai")

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
REASONING = st.builds(
    Reasoning,
    text=WORDS,
    form=st.sampled_from(["full", "summary"]),
    signature=st.builds(
        Signature,
        origin=st.sampled_from([CLAUDE, OPENAI, Origin(dialect="gemini")]),
        kind=st.sampled_from(["signature", "encrypted"]),
        value=WORDS,
        item_id=st.none() | WORDS,
        binding=st.sampled_from(["own", "next_part"]),
        call_id=st.none() | WORDS,
    ),
)


def signed(origin: Origin = CLAUDE) -> Reasoning:
    return Reasoning(text="So.", signature=Signature(origin=origin, kind="signature", value="EqQB.c2ln=="))


def test_parts_survive_json():
    parts: list[Part] = [
        Text(text="Hi"),
        signed(),
        ToolCall(id="call_1", name="look"),
        ToolResult(call_id="call_1", parts=(Image(source=Base64Data(media_type="image/png", data="AA==")),)),
    ]
    assert msgspec.json.decode(msgspec.json.encode(parts), type=list[Part]) == parts


@given(REASONING)
def test_what_is_sealed_with_its_text_comes_back_alone(reasoning: Reasoning):
    assert unseal(seal(reasoning, include_text=True)) == reasoning


@given(REASONING)
def test_what_is_sealed_without_its_text_comes_back_with_it(reasoning: Reasoning):
    assert unseal(seal(reasoning, include_text=False), text=reasoning.text) == reasoning


def test_text_inside_the_seal_wins_over_what_the_client_returned():
    assert unseal(seal(signed(), include_text=True), text="Edited.") == signed()


def test_a_sealed_string_is_found_in_a_body_without_parsing_it():
    sealed = seal(signed(), include_text=True)
    assert sealed.startswith(SEAL_PREFIX)
    assert SEAL_PREFIX.encode() in msgspec.json.encode({"signature": sealed})
    assert base64.b64encode(sealed.encode()).decode().startswith(SEAL_PREFIX_BASE64)


@pytest.mark.parametrize("value", ["", "EqQB.c2ln==", "ruapi"])
def test_a_vendors_own_string_is_not_sealed(value: str):
    assert unseal(value) is None
    assert not is_sealed(value)


@pytest.mark.parametrize("rest", ["", ".", "x.", "!!!.x", "e30.x", "W10.x", "\xff.x", "A" * 9 + ".x"])
def test_a_damaged_sealed_string_is_nothing(rest: str):
    assert unseal(SEAL_PREFIX + rest) is None
    assert is_sealed(SEAL_PREFIX + rest)


def test_only_what_has_a_signature_can_be_sealed():
    with pytest.raises(ValueError, match="signature"):
        seal(Reasoning(text="So."), include_text=True)


@pytest.mark.parametrize(
    ("reader", "maker", "accepted"),
    [
        (CLAUDE, CLAUDE, True),
        (CLAUDE, Origin(dialect="anthropic_messages"), True),
        (Origin(dialect="anthropic_messages"), CLAUDE, True),
        (CLAUDE, Origin(dialect="anthropic_messages", issuer="other"), False),
        (CLAUDE, OPENAI, False),
    ],
)
def test_only_the_same_origin_is_handed_its_own(reader: Origin, maker: Origin, *, accepted: bool):
    assert reader.accepts(maker) is accepted
