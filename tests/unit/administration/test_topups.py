"""Money that comes in: exact, with a reason, and each code once."""

from __future__ import annotations

import re

import pytest

from ruapi.administration import accounts, topups
from ruapi.credentials.secrets import Secrets
from ruapi.errors import Conflict, InvalidInput, LimitReached, NotFound
from ruapi.money import AMOUNT_NANO_MAX

NOW = 1_795_000_000_000


@pytest.fixture
def ann(store):
    return accounts.add(store, email="ann@example.com", now=NOW)


@pytest.fixture
def make_code(store, secrets):
    def make(value_nano: int = 10, expires_at: int | None = None):
        return topups.create_codes(store, secrets, count=1, value_nano=value_nano, expires_at=expires_at, now=NOW)[0]

    return make


def test_a_top_up_stands_in_the_statement_with_its_reason(store, ann):
    assert topups.top_up(store, ann, amount_nano=7, reason=" invoice 118 ", now=NOW).posted_nano == 7
    (line,) = store.statement(ann.account_id, limit=10)
    assert (line.kind, line.amount_nano, line.note) == ("topup", 7, "invoice 118")


@pytest.mark.parametrize(("amount", "reason"), [(0, "x"), (-1, "x"), (1, ""), (1, "a\nb"), (1, "x" * 201)])
def test_a_top_up_needs_an_amount_and_a_reason(store, ann, amount, reason):
    with pytest.raises(InvalidInput):
        topups.top_up(store, ann, amount_nano=amount, reason=reason, now=NOW)


def test_the_books_cannot_overflow(store, ann):
    with pytest.raises(LimitReached):
        topups.top_up(store, ann, amount_nano=AMOUNT_NANO_MAX, reason="too much", now=NOW)


def test_a_code_beyond_what_the_books_hold_is_refused_and_can_be_redeemed_later(store, secrets, ann, make_code):
    full = 2**62 - 9
    topups.top_up(store, ann, amount_nano=full, reason="nearly all there is", now=NOW)
    _, text = make_code(value_nano=10)
    with pytest.raises(LimitReached, match="more than the books can count"):
        topups.redeem(store, secrets, user=ann, text=text, now=NOW)
    (code,) = store.list_codes()
    assert (code.status, code.redeemed_by, accounts.balance(store, ann).posted_nano) == ("active", None, full)
    assert [line.kind for line in store.statement(ann.account_id, limit=10)] == ["topup"]

    with pytest.raises(LimitReached):
        topups.adjust(store, ann, amount_nano=10, reason="up", now=NOW)
    topups.adjust(store, ann, amount_nano=-1, reason="down", now=NOW)
    assert topups.redeem(store, secrets, user=ann, text=text, now=NOW).id == code.id
    assert accounts.balance(store, ann).posted_nano == 2**62


def test_the_house_cannot_give_more_to_all_than_its_own_account_counts(store, ann):
    bob = accounts.add(store, email="bob@example.com", now=NOW)
    topups.top_up(store, ann, amount_nano=2**62, reason="all there is", now=NOW)
    for act in (topups.top_up, topups.adjust):
        with pytest.raises(LimitReached):
            act(store, bob, amount_nano=1, reason="one more", now=NOW)
    topups.adjust(store, ann, amount_nano=-1, reason="room for bob", now=NOW)
    assert topups.top_up(store, bob, amount_nano=1, reason="the last", now=NOW).posted_nano == 1


def test_codes_are_all_different_and_readable(store, secrets):
    made = topups.create_codes(store, secrets, count=50, value_nano=10, expires_at=None, now=NOW)
    texts = {text for _, text in made}
    assert len(texts) == 50
    assert all(re.fullmatch(r"RUAPI(-[0-9A-HJKMNP-TV-Z]{5}){4}", text) for text in texts)
    assert len({code.batch for code, _ in made}) == 1
    assert not any(text in repr(store.list_codes()) for text in texts)


def test_a_code_is_worth_its_value_once(store, secrets, ann, make_code):
    code, text = make_code(value_nano=10)
    topups.redeem(store, secrets, user=ann, text=text, now=NOW)
    assert accounts.balance(store, ann).posted_nano == 10
    with pytest.raises(Conflict, match=r"it was redeemed on 2026-\d\d-\d\d$"):
        topups.redeem(store, secrets, user=ann, text=text, now=NOW)
    assert accounts.balance(store, ann).posted_nano == 10
    assert [topups.describe_code(stored, NOW)["status"] for stored in store.list_codes()] == ["redeemed"]
    assert code.id in repr(store.list_codes())


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda text: text.replace("-", ""),
        lambda text: text.replace("-", " ") + " \n",
        lambda text: text.removeprefix("RUAPI-"),
        lambda text: text[:5] + text[5:].replace("0", "o").replace("1", "l"),
        lambda text: text[:5] + text[5:].replace("1", "I"),
    ],
)
def test_a_code_may_be_typed_carelessly(store, secrets, ann, make_code, typed):
    _, text = make_code()
    assert topups.redeem(store, secrets, user=ann, text=typed(text), now=NOW).value_nano == 10


def test_codes_end_by_expiry_and_by_being_disabled(store, secrets, ann, make_code):
    _, expiring = make_code(expires_at=NOW + 10)
    disabled, disabled_text = make_code()
    assert topups.disable_codes(store, [disabled.batch]) == 1
    assert topups.disable_codes(store, [disabled.id]) == 0
    for text, words in ((expiring, "has expired"), (disabled_text, "was disabled")):
        with pytest.raises(Conflict, match=words):
            topups.redeem(store, secrets, user=ann, text=text, now=NOW + 10)
    assert accounts.balance(store, ann).posted_nano == 0


def test_unknown_and_senseless_codes_are_told_apart(store, secrets, ann):
    with pytest.raises(NotFound):
        topups.redeem(store, secrets, user=ann, text="RUAPI-00000-00000-00000-00000", now=NOW)
    with pytest.raises(InvalidInput, match="RUAPI-XXXXX"):
        topups.redeem(store, secrets, user=ann, text="RUAPI-0000", now=NOW)
    with pytest.raises(NotFound, match="cod_1"):
        topups.disable_codes(store, ["cod_1"])


def test_a_code_made_under_an_older_pepper_still_works(store, secrets, ann, make_code):
    _, text = make_code()
    newer = Secrets(peppers={**secrets.peppers, 2: b"q" * 32}, master_key=secrets.master_key)
    assert topups.redeem(store, newer, user=ann, text=text, now=NOW).value_nano == 10


@pytest.mark.parametrize(
    "terms",
    [
        {"count": 0},
        {"count": 10_001},
        {"value_nano": 0},
        {"value_nano": topups.CODE_VALUE_NANO_MAX + 1},
        {"expires_at": NOW},
    ],
)
def test_senseless_batches_are_refused(store, secrets, terms):
    with pytest.raises(InvalidInput):
        topups.create_codes(store, secrets, **{"count": 1, "value_nano": 1, "expires_at": None, "now": NOW, **terms})
