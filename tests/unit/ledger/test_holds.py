from hypothesis import given
from hypothesis import strategies as st

from ruapi.ledger.holds import OPEN_STATES, TRANSITIONS, Funds, grant, settle

AMOUNTS = st.integers(0, 10**12)


def funds(*, posted: int = 1_000, held: int = 0, limit: int | None = None, spent: int = 0, key_held: int = 0) -> Funds:
    return Funds(posted, held, limit, spent, key_held)


def test_the_tighter_of_balance_and_limit_decides() -> None:
    assert grant(funds(), amount_nano=100, least_nano=1) == 100
    assert grant(funds(held=950), amount_nano=100, least_nano=1) == 50
    assert grant(funds(limit=30), amount_nano=100, least_nano=1) == 30
    assert grant(funds(limit=30, spent=10, key_held=15), amount_nano=100, least_nano=1) == 5
    assert grant(funds(limit=30, spent=10, key_held=15), amount_nano=100, least_nano=6) == 0
    assert grant(funds(limit=0), amount_nano=100, least_nano=0) == 0
    assert grant(funds(limit=10, spent=20), amount_nano=1, least_nano=1) == 0


def test_a_share_of_what_is_free_but_never_under_the_least() -> None:
    assert grant(funds(), amount_nano=900, least_nano=1, share_percent=25) == 250
    assert grant(funds(), amount_nano=900, least_nano=400, share_percent=25) == 400
    assert grant(funds(), amount_nano=100, least_nano=1, share_percent=25) == 100


def test_a_settlement_raises_as_far_as_money_and_consent_go() -> None:
    assert settle(held_nano=100, wanted_nano=60, ceiling_nano=500, free_nano=0).final_nano == 60
    beyond = settle(held_nano=100, wanted_nano=160, ceiling_nano=500, free_nano=1_000)
    assert (beyond.raise_nano, beyond.final_nano, beyond.loss_nano) == (60, 160, 0)
    poor = settle(held_nano=100, wanted_nano=160, ceiling_nano=500, free_nano=20)
    assert (poor.raise_nano, poor.final_nano, poor.loss_nano) == (20, 120, 40)
    lying = settle(held_nano=100, wanted_nano=9_000, ceiling_nano=110, free_nano=10_000)
    assert (lying.final_nano, lying.loss_nano) == (110, 8_890)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_nobody_pays_more_than_agreed_or_than_is_there(held: int, wanted: int, ceiling: int, free: int) -> None:
    posting = settle(held_nano=held, wanted_nano=wanted, ceiling_nano=ceiling, free_nano=free)
    assert 0 <= posting.raise_nano <= free
    assert posting.final_nano <= held + posting.raise_nano
    assert posting.final_nano <= max(held, ceiling)
    assert posting.final_nano + posting.loss_nano == wanted


def test_final_states_are_final() -> None:
    assert {state for state, following in TRANSITIONS.items() if following} == set(OPEN_STATES)
