"""Sealed values open in their own place only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.credentials.sealing import Sealer
from ruapi.errors import Unavailable

SEALER = Sealer(bytes(range(32)))
PLACE = {"table": "channel", "row": "chn_1", "column": "secret"}


@given(st.binary(max_size=300))
def test_what_was_sealed_opens_again(plain):
    sealed = SEALER.seal(plain, **PLACE)
    assert SEALER.unseal(sealed, **PLACE) == plain
    assert sealed != SEALER.seal(plain, **PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [{"table": "channels"}, {"row": "chn_2"}, {"column": "other"}, {"table": "channe", "row": "lchn_1"}],
)
def test_it_does_not_open_in_another_place(elsewhere):
    sealed = SEALER.seal(b"sk-provider", **PLACE)
    with pytest.raises(Unavailable, match="does not open"):
        SEALER.unseal(sealed, **{**PLACE, **elsewhere})


def test_it_does_not_open_under_another_master_key():
    with pytest.raises(Unavailable, match="another master key"):
        Sealer(bytes(32)).unseal(SEALER.seal(b"sk-provider", **PLACE), **PLACE)


@given(st.integers(0, 127))
def test_every_changed_byte_is_noticed(position):
    sealed = bytearray(SEALER.seal(b"sk-provider-secret-of-thirty-byt", **PLACE))
    position %= len(sealed)
    sealed[position] ^= 1
    with pytest.raises(Unavailable, match=r"damaged|does not open"):
        SEALER.unseal(bytes(sealed), **PLACE)


@pytest.mark.parametrize("rubbish", [b"", b"\x01", b"\x02" + bytes(200), bytes(88)])
def test_rubbish_is_damaged(rubbish):
    with pytest.raises(Unavailable, match="damaged"):
        SEALER.unseal(rubbish, **PLACE)
