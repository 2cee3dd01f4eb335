"""A database as a busy team has it after two months, and how long each verb of pages takes on it.

``seed`` fills a new file with keys, calls and everything that the books need to agree with them: holds,
transfers, postings, balances, spend windows and sums, so that ``ruapi ledger verify`` finds nothing. One owner has nine
keys of ten, and one key a tenth of that owner's calls.

    python -m bench.console_data [keys] [calls]
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ruapi.ledger.windows import window_of
from ruapi.storage.records import (
    AuditEvent,
    Channel,
    Key,
    KeyFilter,
    KeySecret,
    LogFilter,
    LogRow,
    Model,
    PriceVersion,
    User,
)
from ruapi.storage.rows import insert, to_row
from ruapi.storage.sqlite import SQLiteStore, connect

KEYS = 10_000
LOG_ROWS = 1_000_000
DAYS = 60
OTHERS = 20
AUDIT_EVENTS = 50_000
PAYMENTS = 4_000
MS_PER_DAY = 86_400_000
MODELS = (
    "openai/gpt-5.1", "openai/gpt-5-mini", "anthropic/claude-sonnet-4.5", "anthropic/claude-haiku-4.5",
    "google/gemini-3-pro", "local/smollm2",
)  # fmt: skip
CHANNELS = ("openai", "anthropic", "google")
ACTIONS = ("key.create", "key.edit", "key.disable", "key.delete", "session.start", "account.topup", "user.freeze")

# The books follow from the calls; the database works them out much faster than Python would.
HOLDS = """
INSERT INTO hold (id, request_id, account_id, key_id, "window", price_version, amount_nano, state, boot_id, created_at,
                  deadline, final_nano, usage_source)
SELECT 'hold_' || substr(l.request_id, 5), l.request_id, l.account_id, l.key_id,
       CASE k.limit_reset WHEN 'never' THEN 'total' WHEN 'daily' THEN strftime('%Y-%m-%d', l.time / 1000, 'unixepoch')
         WHEN 'weekly' THEN strftime('%G-W%V', l.time / 1000, 'unixepoch')
         ELSE strftime('%Y-%m', l.time / 1000, 'unixepoch') END,
       l.price_version, l.held_nano, 'posted', 'boot_seed', l.time, l.time + 600000, l.cost_nano, 'provider'
  FROM request_log l JOIN api_key k ON k.id = l.key_id WHERE l.cost_nano > 0 ORDER BY l.request_id;

INSERT INTO transfer (id, kind, ref, created_at)
SELECT 'trf_' || substr(request_id, 5), 'usage', id, created_at FROM hold ORDER BY id;

INSERT INTO posting (account_id, transfer_id, amount_nano)
SELECT account_id, 'trf_' || substr(request_id, 5), -final_nano FROM hold ORDER BY account_id, id;

INSERT INTO posting (account_id, transfer_id, amount_nano)
SELECT 'acc_revenue', 'trf_' || substr(request_id, 5), final_nano FROM hold ORDER BY id;

INSERT INTO key_spend (key_id, "window", spent_nano) SELECT key_id, "window", SUM(final_nano) FROM hold GROUP BY 1, 2;

INSERT INTO usage_day
SELECT strftime('%Y-%m-%d', time / 1000, 'unixepoch'), key_id, model, COUNT(*), SUM(input_tokens), SUM(output_tokens),
       SUM(cost_nano) FROM request_log GROUP BY key_id, 1, model;

INSERT INTO usage_hour
SELECT account_id, time / 3600000 * 3600000, model, channel, COUNT(*), SUM(status >= 400), SUM(input_tokens),
       SUM(cached_input_tokens), SUM(cache_write_tokens), SUM(output_tokens), COUNT(first_token_ms),
       COALESCE(SUM(first_token_ms), 0), SUM(cost_nano) FROM request_log GROUP BY 1, 2, 3, 4;

INSERT INTO usage_hour
SELECT '', hour, model, channel, SUM(requests), SUM(errors), SUM(input_tokens), SUM(cached_input_tokens),
       SUM(cache_write_tokens), SUM(output_tokens), SUM(first_tokens), SUM(first_token_ms), SUM(cost_nano)
  FROM usage_hour GROUP BY 1, 2, 3, 4;

INSERT INTO usage_month
SELECT account_id, strftime('%Y-%m', time / 1000, 'unixepoch'), key_id, COUNT(*), SUM(cost_nano)
  FROM request_log GROUP BY 1, 2, 3;
"""

BALANCES = """
UPDATE balance SET posted_nano = COALESCE(
  (SELECT SUM(p.amount_nano) FROM posting p WHERE p.account_id = balance.account_id), 0);
"""


@dataclass(frozen=True, slots=True)
class Seeded:
    """What to look for in a seeded database."""

    owner: User
    """An administrator, with nine keys of ten; set a password to sign in."""
    busy_key_id: str
    """The key with a tenth of the owner's calls."""
    newest_request_id: str
    now: int


def seed(path: Path, *, keys: int = KEYS, log_rows: int = LOG_ROWS, now: int | None = None) -> Seeded:
    """Fill a new database file; the books agree. Takes about a minute for a million calls."""
    now = time.time_ns() // 1_000_000 if now is None else now
    draw = random.Random(7)
    store = SQLiteStore(path)
    store.migrate(now=now)
    store.close()
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
    connection.execute("BEGIN")
    people = _people(now)
    connection.executemany(
        "INSERT INTO account (id, kind, created_at) VALUES (?, 'user', ?)",
        [(user.account_id, user.created_at) for user in people],
    )
    connection.executemany(
        "INSERT INTO balance (account_id, kind) VALUES (?, 'user')", [(user.account_id,) for user in people]
    )
    connection.executemany(insert(User, "users"), [to_row(user) for user in people])
    _seed_models(connection, now)
    made = _seed_keys(connection, draw, people, keys, now)
    newest = _seed_log(connection, draw, made, log_rows, now)
    connection.execute(HOLDS)
    _seed_payments(connection, draw, people, now)
    connection.execute(BALANCES)
    _seed_limits(connection, now)
    connection.executemany(insert(AuditEvent, "audit_event"), _audit_events(draw, people, made, now))
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return Seeded(owner=people[0], busy_key_id=made[0].id, newest_request_id=newest, now=now)


def _people(now: int) -> list[User]:
    start = now - DAYS * MS_PER_DAY
    return [
        User(
            id=f"usr_{start + number:012x}{number:016x}", email="owner@example.com" if not number else
            f"person{number}@example.com", role="member" if number else "admin", status="active",
            account_id=f"acc_{start + number:012x}{number:016x}", created_at=start + number,
        )
        for number in range(OTHERS + 1)
    ]  # fmt: skip


def _seed_models(connection: Any, now: int) -> None:
    for number, name in enumerate(MODELS):
        provider = name.partition("/")[0]
        model = Model(
            id=name, provider=provider, display_name=name.partition("/")[2], context_tokens=200_000,
            output_tokens_max=32_000, source="operator", source_date="2026-11-01", created_at=0,
        )  # fmt: skip
        price = PriceVersion(
            id=f"prc_{number}", model=name, rates=b'{"input":1250000000,"output":10000000000}', source="operator",
            source_date="2026-11-01", effective_from=0, created_at=0,
        )  # fmt: skip
        connection.execute(insert(Model, "model"), to_row(model))
        connection.execute(insert(PriceVersion, "price_version"), to_row(price))
    for number, name in enumerate(CHANNELS):
        channel = Channel(
            id=f"chn_{number}", name=name, kind="openai-compatible", base_url=f"https://{name}.example.com",
            secret_sealed=b"", created_at=now,
        )  # fmt: skip
        connection.execute(insert(Channel, "channel"), to_row(channel))


def _seed_keys(connection: Any, draw: random.Random, people: list[User], count: int, now: int) -> list[Key]:
    start = now - DAYS * MS_PER_DAY
    made = []
    for number in range(count):
        user = people[0] if number < count * 9 // 10 else people[1 + number % OTHERS]
        status = "active" if not number else draw.choices(("active", "disabled", "deleted"), (90, 5, 5))[0]
        made.append(
            Key(
                id=f"key_{number:010d}", user_id=user.id, account_id=user.account_id,
                name=f"{draw.choice(('ci', 'agent', 'batch', '100%_safe', 'notebook'))} {number}", status=status,
                last4=f"{number % 10_000:04d}",
                expires_at=draw.choice((None, None, None, now + draw.randrange(-10, 60) * MS_PER_DAY)),
                limit_reset=draw.choice(("never", "daily", "weekly", "monthly")),
                models=draw.choice(((), (), ("openai/*",), ("anthropic/*", "google/gemini-3-pro"))),
                created_at=start + number * (DAYS * MS_PER_DAY // count),
                last_used_at=draw.choice((None, now - draw.randrange(DAYS) * MS_PER_DAY)),
                deleted_at=now if status == "deleted" else None,
            )
        )  # fmt: skip
    connection.executemany(insert(Key, "api_key"), [to_row(key) for key in made])
    secrets = [_secret(key, "new", None) for key in made]
    secrets += [_secret(key, "old", now + MS_PER_DAY) for key in made[::500]]
    connection.executemany(insert(KeySecret, "key_secret"), [to_row(secret) for secret in secrets])
    return made


def _secret(key: Key, which: str, expires_at: int | None) -> KeySecret:
    return KeySecret(
        digest=hashlib.sha256(f"{key.id} {which}".encode()).digest(), key_id=key.id, last4=key.last4, pepper_version=1,
        created_at=key.created_at, expires_at=expires_at,
    )  # fmt: skip


def _seed_log(connection: Any, draw: random.Random, keys: list[Key], count: int, now: int) -> str:
    """The calls, spread evenly over the days; one in fifty fails, one in five hundred at the provider."""
    start, step = now - DAYS * MS_PER_DAY, DAYS * MS_PER_DAY / count
    newest = ""

    def rows() -> Iterator[tuple[Any, ...]]:
        nonlocal newest
        for number in range(count):
            instant = start + int(number * step)
            newest = f"req_{instant:012x}{number:016x}"
            key = keys[0] if not number % 10 else draw.choice(keys)
            model = number * 7 % len(MODELS)
            status = 503 if not number % 500 else 402 if not number % 50 else 200
            channel = "" if status == 402 else CHANNELS[model // 2]
            cost = 0 if status != 200 else draw.randrange(1, 40_000_000)
            yield (
                newest, instant, key.account_id, key.id, MODELS[model], channel, "openai-chat", "openai-chat", 1,
                status, None if status == 200 else "insufficient_balance", "stop" if status == 200 else None,
                1_200 if cost else 0, 400 if cost else 0, 0, 300 if cost else 0, 0, None, cost, cost * 2,
                f"prc_{model}", "provider" if cost else None, 1, 420 if cost else None, 1_900, "", None,
                f"10.0.{number % 3}.{number % 11}",
            )  # fmt: skip

    marks = ", ".join("?" * len(LogRow.__struct_fields__))
    connection.executemany(f"INSERT INTO request_log VALUES ({marks})", rows())  # noqa: S608 - only question marks
    return newest


def _seed_payments(connection: Any, draw: random.Random, people: list[User], now: int) -> None:
    """What people paid in: enough for all that they used."""
    needed: dict[str, int] = dict(connection.execute("SELECT account_id, SUM(final_nano) FROM hold GROUP BY 1"))
    start = now - DAYS * MS_PER_DAY
    for number in range(PAYMENTS):
        instant = start + number * (DAYS * MS_PER_DAY // PAYMENTS)
        transfer_id = f"trf_{instant:012x}{draw.getrandbits(64):016x}"
        user = people[number % len(people)]
        amount = needed.get(user.account_id, 0) // (PAYMENTS // len(people)) + 1_000_000_000
        kind, house = ("code", "acc_promo") if not number % 8 else ("topup", "acc_external")
        connection.execute(
            "INSERT INTO transfer (id, kind, ref, note, created_at) VALUES (?, ?, ?, 'bank', ?)",
            (transfer_id, kind, f"ref:{transfer_id}", instant),
        )
        connection.execute(
            "INSERT INTO posting (account_id, transfer_id, amount_nano) VALUES (?1, ?2, ?3), (?4, ?2, -?3)",
            (user.account_id, transfer_id, amount, house),
        )
        connection.execute("INSERT INTO credit VALUES (?, ?)", (transfer_id, user.account_id))


def _seed_limits(connection: Any, now: int) -> None:
    """Two keys of three have a limit, and one of a hundred of those has reached it."""
    for reset in ("never", "daily", "weekly", "monthly"):
        connection.execute(
            """UPDATE api_key SET limit_nano = CASE WHEN rowid % 3 = 0 THEN NULL
                 WHEN rowid % 100 = 1 THEN COALESCE(s.spent, 0) ELSE COALESCE(s.spent, 0) + 5000000000 END
                 FROM (SELECT k.id AS key_id, (SELECT spent_nano FROM key_spend s WHERE s.key_id = k.id
                                                  AND s."window" = ?) AS spent FROM api_key k) s
                WHERE s.key_id = api_key.id AND limit_reset = ?""",
            (window_of(reset, now), reset),
        )


def _audit_events(draw: random.Random, people: list[User], keys: list[Key], now: int) -> Iterator[tuple[Any, ...]]:
    start = now - DAYS * MS_PER_DAY
    for number in range(AUDIT_EVENTS):
        instant = start + number * (DAYS * MS_PER_DAY // AUDIT_EVENTS)
        key, user = draw.choice(keys), people[0] if draw.random() < 0.5 else draw.choice(people)
        # The rarest act happened once, long ago.
        action = "channel.remove" if number == 100 else draw.choice(ACTIONS)
        yield to_row(
            AuditEvent(
                id=f"aud_{instant:012x}{number:016x}", time=instant, actor_kind="user", actor_id=user.id,
                actor_name=user.email, address="10.0.0.1", action=action, target_kind="key", target_id=key.id,
                target_name=key.name, user_id=user.id, changes='{"status":["active","disabled"]}',
            )
        )  # fmt: skip


def verbs(store: SQLiteStore, seeded: Seeded) -> dict[str, Callable[[], Any]]:
    """Each verb of pages, with the arguments that cost most."""
    owner, account, now = seeded.owner.id, seeded.owner.account_id, seeded.now
    month_ago, day_ago, month = now - 30 * MS_PER_DAY, now - MS_PER_DAY, window_of("monthly", now)
    accounts = [user.account_id for user in store.list_users()]
    key_ids = [row.key.id for row in store.page_keys(KeyFilter(), now=now)]
    named: dict[str, Callable[[], Any]] = {}
    for state in (None, "active", "limit_reached", "expiring", "expired", "disabled", "rotating", "deleted"):
        for user_id in (owner, None):
            named[f"page_keys {state or 'all'} {'of one' if user_id else 'of everybody'}"] = partial(
                store.page_keys, KeyFilter(user_id=user_id, state=state), now=now
            )
    filters = {
        "text": KeyFilter(user_id=owner, text="100%_"), "text, none": KeyFilter(text="no such name"),
        "model": KeyFilter(user_id=owner, model="openai/gpt-5.1"),
        "model, unused": KeyFilter(user_id=owner, model="google/gemini-3-pro", unused_since=month_ago, text="ci"),
        "unused, none": KeyFilter(user_id=owner, unused_since=0, model="x", state="limit_reached"),
    }  # fmt: skip
    for name, wanted in filters.items():
        named[f"page_keys {name}"] = partial(store.page_keys, wanted, now=now)
    logs = {
        "of account": LogFilter(account_id=account), "of everybody": LogFilter(),
        "of key": LogFilter(account_id=account, key_id=seeded.busy_key_id),
        "of account, errors": LogFilter(account_id=account, status="error"),
        "of account, rare": LogFilter(account_id=account, status="418"),
        "of account, rare cost": LogFilter(account_id=account, cost_nano_min=10**15, model=MODELS[0]),
        "of key, rare": LogFilter(account_id=account, key_id=seeded.busy_key_id, status="418"),
        "of everybody, rare": LogFilter(status="418", model=MODELS[0]),
        "of everybody, month, rare": LogFilter(status="418", since=month_ago, until=day_ago),
    }  # fmt: skip
    for name, look in logs.items():
        named[f"page_log {name}"] = partial(store.page_log, look)
    for who, of in (("one", account), ("everybody", None)):
        named |= {
            f"usage_by_hour day, {who}": partial(store.usage_by_hour, of, since=day_ago, until=now),
            f"usage_by_hour 30 days, {who}": partial(store.usage_by_hour, of, since=month_ago, until=now),
            f"usage_by_day 30 days, {who}": partial(store.usage_by_day, of, since=month_ago, until=now),
            f"usage_by_model 30 days, {who}": partial(store.usage_by_model, of, since=month_ago, until=now),
            f"transfers {who}": partial(store.transfers, of),
        }
    return named | {
        "count_keys one": partial(store.count_keys, owner),
        "count_keys everybody": partial(store.count_keys, None),
        "key_names": partial(store.key_names, key_ids),
        "find_key_row": partial(store.find_key_row, seeded.busy_key_id),
        "find_user": partial(store.find_user, "OWNER@example.com"),
        "usage_by_channel_hour day": partial(store.usage_by_channel_hour, since=day_ago, until=now),
        "usage_of_key_by_day": partial(store.usage_of_key_by_day, seeded.busy_key_id, since_day=""),
        "top_keys": partial(store.top_keys, account, month=month, limit=10),
        "spent_by_account day": partial(store.spent_by_account, accounts, since=day_ago),
        "spent_by_account 30 days": partial(store.spent_by_account, accounts, since=month_ago),
        "failures_of_channel": partial(store.failures_of_channel, CHANNELS[0], limit=5),
        "addresses_of_key day": partial(store.addresses_of_key, seeded.busy_key_id, since=day_ago, limit=20),
        "addresses_of_key always": partial(store.addresses_of_key, seeded.busy_key_id, since=0, limit=20),
        "page_users": partial(store.page_users, text="person"),
        "page_audit": store.page_audit,
        "page_audit of user, action": partial(store.page_audit, user_id=owner, action="channel."),
        "page_audit action": partial(store.page_audit, action="key."),
        "page_audit rare action": partial(store.page_audit, action="channel."),
        "page_audit of target": partial(store.page_audit, target_id=seeded.busy_key_id),
    }


def main() -> None:
    keys, log_rows = [*map(int, sys.argv[1:3]), *(KEYS, LOG_ROWS)[len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ruapi.db"
        started = time.perf_counter()
        seeded = seed(path, keys=keys, log_rows=log_rows)
        print(f"{time.perf_counter() - started:8.1f} s   seeded: {path.stat().st_size / 1e6:.0f} MB")
        store = SQLiteStore(path)
        started = time.perf_counter()
        found = store.verify(now=seeded.now)
        print(f"{time.perf_counter() - started:8.1f} s   verified: {len(found)} findings", *found[:3])
        for name, verb in verbs(store, seeded).items():
            print(f"{min(_milliseconds(verb) for _ in range(6)):8.2f} ms  {name}")
        store.close()


def _milliseconds(verb: Callable[[], Any]) -> float:
    """Of the processor: other programs on the machine make waits longer, not the work."""
    started = time.process_time()
    verb()
    return (time.process_time() - started) * 1_000


if __name__ == "__main__":
    main()
