"""The books as a stateful machine: whatever happens in whatever order, every invariant holds after each step."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from ruapi.errors import LimitReached
from ruapi.storage.records import (
    Hold,
    HoldRefused,
    HoldRequest,
    Key,
    KeySecret,
    LogRow,
    Model,
    PriceVersion,
    Settlement,
    User,
)
from ruapi.storage.sqlite import SQLiteStore

START = time.time_ns() // 1_000_000  # limits are edited at the real time
DAY_MS = 86_400_000
AMOUNTS = st.integers(0, 2_000)
RESETS = st.sampled_from(["never", "daily", "weekly", "monthly"])


class Books(RuleBasedStateMachine):
    """One user with two keys on a real database."""

    holds: Bundle[Any] = Bundle("holds")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.now, self.count = START, 0
        self.store = SQLiteStore(Path(self.folder.name) / "ruapi.db")
        self.store.migrate(now=START)
        self.store.save_user(
            User(id="usr_1", email="a@b", role="admin", status="active", account_id="acc_1", created_at=START)
        )
        self.store.save_models(
            [Model(id="m", provider="p", display_name="M", source="operator", source_date="", created_at=START)],
            [
                PriceVersion(
                    id="prc_1",
                    model="m",
                    rates=b"{}",
                    source="operator",
                    source_date="",
                    effective_from=0,
                    created_at=0,
                )
            ],
        )
        self.keys = {}
        for number in (1, 2):
            key = Key(
                id=f"key_{number}", user_id="usr_1", account_id="acc_1", name="k", status="active", last4="abcd",
                created_at=START,
            )  # fmt: skip
            self.keys[key.id] = key
            secret = KeySecret(digest=b"%d" % number, key_id=key.id, last4="abcd", pepper_version=1, created_at=START)
            self.store.add_key(key, secret)
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.store.start()
        self.boot = self.next_id("boot")
        await self.store.open_boot(self.boot, now=self.now)

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def next_id(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count:06d}"

    @rule(amount=AMOUNTS)
    def top_up(self, amount: int) -> None:
        self.store.credit(
            transfer_id=self.next_id("trf"), account_id="acc_1", amount_nano=amount, kind="topup",
            ref=self.next_id("ref"), note="", now=self.now,
        )  # fmt: skip

    @rule(amount=AMOUNTS)
    def take_out(self, amount: int) -> None:
        balance = self.store.balances(["acc_1"])["acc_1"]
        try:
            self.store.credit(
                transfer_id=self.next_id("trf"), account_id="acc_1", amount_nano=-amount, kind="adjustment",
                ref=self.next_id("ref"), note="", now=self.now,
            )  # fmt: skip
        except LimitReached:
            assert balance.posted_nano - balance.held_nano < amount

    @rule(key=st.sampled_from(["key_1", "key_2"]), limit=st.none() | AMOUNTS, reset=RESETS)
    def edit_key(self, key: str, limit: int | None, reset: str) -> None:
        changed = msgspec.structs.replace(self.keys[key], limit_nano=limit, limit_reset=reset)
        self.store.save_key(changed, was=self.keys[key])
        self.keys[key] = changed

    @rule(key=st.sampled_from(["key_1", "key_2"]), status=st.sampled_from(["active", "disabled"]))
    def switch_key(self, key: str, status: str) -> None:
        changed = msgspec.structs.replace(self.keys[key], status=status)
        self.store.save_key(changed, was=self.keys[key])
        self.keys[key] = changed

    @rule(hours=st.integers(1, 40))
    def wait(self, hours: int) -> None:
        self.now += hours * 3_600_000

    @rule(target=holds, key=st.sampled_from(["key_1", "key_2"]), amount=AMOUNTS, least=AMOUNTS)
    def place(self, key: str, amount: int, least: int) -> Any:
        hold = self.run(
            self.store.place_hold(
                HoldRequest(
                    id=self.next_id("hold"), request_id=self.next_id("req"), account_id="acc_1", key_id=key,
                    price_version="prc_1", amount_nano=max(amount, 1), least_nano=min(amount, least),
                    boot_id=self.boot, created_at=self.now, deadline=self.now + 10 * DAY_MS,
                )
            )
        )  # fmt: skip
        if isinstance(hold, HoldRefused):
            return None
        assert self.keys[key].status == "active"
        assert 1 <= hold.amount_nano <= max(amount, 1)
        return hold

    @rule(hold=holds, more=AMOUNTS)
    def extend(self, hold: Hold | None, more: int) -> None:
        if hold is not None and more:
            assert 0 <= self.run(self.store.extend_hold(hold.id, more_nano=more, deadline=hold.deadline)) <= more

    @rule(hold=holds, observed=AMOUNTS)
    def journal(self, hold: Hold | None, observed: int) -> None:
        if hold is not None:
            row = msgspec.json.encode(self.row(hold))
            self.run(self.store.journal_hold(hold.id, observed_nano=observed, observed=row, deadline=hold.deadline))

    @rule(hold=consumes(holds), wanted=AMOUNTS, ceiling=AMOUNTS, twice=st.booleans())
    def settle(self, hold: Hold | None, wanted: int, ceiling: int, *, twice: bool) -> None:
        if hold is None:
            return
        settlement = Settlement(
            hold_id=hold.id, wanted_nano=wanted, ceiling_nano=ceiling, usage_source="provider",
            now=self.now, log=self.row(hold),
        )  # fmt: skip
        first = self.run(self.store.settle_hold(settlement))
        assert first.final_nano + first.loss_nano == wanted or not first.changed
        if twice:
            again = self.run(self.store.settle_hold(settlement))
            assert not again.changed
            assert again.final_nano == first.final_nano

    @rule(key=st.sampled_from(["key_1", "key_2"]), status=st.sampled_from([402, 429, 503]), twice=st.booleans())
    def refuse(self, key: str, status: int, *, twice: bool) -> None:
        """A call that never held money is logged, also when it is logged again."""
        row = LogRow(
            request_id=self.next_id("req"), time=self.now, account_id="acc_1", key_id=key, model="", channel="",
            client_dialect="x", upstream_dialect="", stream=False, status=status, input_tokens=7,
        )  # fmt: skip
        for _ in range(1 + twice):
            self.run(self.store.append_log(row))

    def row(self, hold: Hold) -> LogRow:
        return LogRow(
            request_id=hold.request_id, time=hold.created_at, account_id="acc_1", key_id=hold.key_id, model="m",
            channel="c", client_dialect="x", upstream_dialect="x", stream=False, status=200,
        )  # fmt: skip

    @rule()
    def crash(self) -> None:
        """The server dies and another one takes over: nothing stays open."""
        self.store.boots.drop(self.boot)
        self.store.close()
        self.store = SQLiteStore(Path(self.folder.name) / "ruapi.db")
        self.run(self._recover())
        assert self.store.balances(["acc_1"])["acc_1"].held_nano == 0

    async def _recover(self) -> None:
        await self._start()
        await self.store.recover_holds(now=self.now)

    @invariant()
    def books_are_right(self) -> None:
        if hasattr(self, "store"):
            assert self.store.verify(now=self.now) == []

    @invariant()
    def sums_equal_rows(self) -> None:
        """What pages read instead of the log says what the log says; ``verify`` compares the money besides."""
        if not hasattr(self, "store"):
            return
        with self.store.reading() as look:
            ((requests, errors, tokens, cost),) = look.execute(
                "SELECT COUNT(*), TOTAL(status >= 400), TOTAL(input_tokens), TOTAL(cost_nano) FROM request_log"
            )
            for account in ("acc_1", ""):
                assert list(
                    look.execute(
                        """SELECT TOTAL(requests), TOTAL(errors), TOTAL(input_tokens), TOTAL(cost_nano)
                             FROM usage_hour WHERE account_id = ?""",
                        (account,),
                    )
                ) == [(requests, errors, tokens, cost)]
            assert list(look.execute("SELECT TOTAL(requests), TOTAL(cost_nano) FROM usage_month")) == [(requests, cost)]
            assert list(look.execute("SELECT TOTAL(requests), TOTAL(input_tokens) FROM usage_day")) == [
                (requests, tokens)
            ]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.loop.close()
            self.folder.cleanup()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
