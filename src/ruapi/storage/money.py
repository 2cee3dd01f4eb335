"""The verbs of money, written once against an open transaction.

Each function runs inside a transaction that holds the write lock; ``sqlite`` groups many of them into
one commit. They read, let ``ruapi.ledger`` decide, and only then write, so a refusal leaves nothing to undo.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from ruapi.identifiers import new_identifier
from ruapi.ledger.holds import OPEN_STATES, Funds, grant, settle
from ruapi.ledger.windows import window_of
from ruapi.storage import statements
from ruapi.storage.records import Hold, HoldRefused, HoldRequest, LogRow, Settled, Settlement

REVENUE = "acc_revenue"
PLATFORM_LOSS = "acc_platform_loss"
EXTERNAL = "acc_external"
PROMO = "acc_promo"
HOUSE_ACCOUNTS = (
    (REVENUE, "revenue"),
    (PLATFORM_LOSS, "platform_loss"),
    (EXTERNAL, "external"),
    (PROMO, "promo"),
)

_MS_PER_HOUR = 3_600_000
_ERRORS_FROM = 400  # answers with this status and above count as errors


class Transaction(Protocol):
    """An open transaction of either database: run one statement, iterate over its rows."""

    def execute(self, statement: str, bindings: Any = ...) -> Iterable[tuple[Any, ...]]:
        """Run one statement."""
        ...

    def changes(self) -> int:
        """How many rows the newest INSERT, UPDATE or DELETE has written."""
        ...


def _first(rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    found = None
    for found in rows:  # noqa: B007 - reading to the end frees the statement for the commit
        pass
    return found


def place_hold(transaction: Transaction, request: HoldRequest) -> Hold | HoldRefused:
    """Reserve money for one call, or say why not."""
    row = _first(transaction.execute(statements.FUNDS, (request.key_id,)))
    if row is None or row[0] != "active":
        return HoldRefused(reason="key_gone", limit_nano=None, spent_nano=0, held_nano=0, least_nano=request.least_nano)
    _, user_status, limit_nano, limit_reset, posted, account_held = row
    if user_status != "active":
        return HoldRefused(
            reason="account_frozen", limit_nano=None, spent_nano=0, held_nano=0, least_nano=request.least_nano
        )
    window = window_of(limit_reset, request.created_at)
    spent, key_held = _first(transaction.execute(statements.KEY_SPEND, (request.key_id, window))) or (0, 0)
    funds = Funds(posted, account_held, limit_nano, spent, key_held)
    granted = grant(
        funds,
        amount_nano=request.amount_nano,
        least_nano=request.least_nano,
        share_percent=request.share_percent,
    )
    if granted == 0:
        return _refusal(funds, request)
    transaction.execute(statements.HOLD_ON_BALANCE, (granted, request.account_id))
    transaction.execute(statements.HOLD_ON_KEY, (request.key_id, window, limit_nano, granted))
    transaction.execute(
        statements.INSERT_HOLD,
        (
            request.id,
            request.request_id,
            request.account_id,
            request.key_id,
            window,
            request.price_version,
            granted,
            request.boot_id,
            request.created_at,
            request.deadline,
        ),
    )
    return Hold(
        id=request.id,
        request_id=request.request_id,
        account_id=request.account_id,
        key_id=request.key_id,
        window=window,
        price_version=request.price_version,
        amount_nano=granted,
        state="reserved",
        boot_id=request.boot_id,
        created_at=request.created_at,
        deadline=request.deadline,
    )


def _refusal(funds: Funds, request: HoldRequest) -> HoldRefused:
    """Name the tighter of the two: the key's limit, or the balance."""
    free_of_key = funds.free_of_key()
    if free_of_key is not None and free_of_key <= funds.free_of_account():
        return HoldRefused(
            reason="key_limit",
            limit_nano=funds.limit_nano,
            spent_nano=funds.spent_nano,
            held_nano=funds.key_held_nano,
            least_nano=request.least_nano,
        )
    return HoldRefused(
        reason="balance",
        limit_nano=funds.posted_nano,
        spent_nano=0,
        held_nano=funds.account_held_nano,
        least_nano=request.least_nano,
    )


def _find_hold(transaction: Transaction, hold_id: str) -> Hold | None:
    row = _first(transaction.execute(statements.SELECT_HOLD, (hold_id,)))
    return None if row is None else Hold(**dict(zip(Hold.__struct_fields__, row, strict=True)))


def _funds_of(transaction: Transaction, hold: Hold) -> Funds | None:
    """What the hold's key may still draw in the hold's window; None when the key or its owner was stopped."""
    row = _first(transaction.execute(statements.FUNDS, (hold.key_id,)))
    if row is None or row[0] != "active" or row[1] != "active":
        return None
    spent, held = _first(transaction.execute(statements.KEY_SPEND, (hold.key_id, hold.window))) or (0, 0)
    return Funds(row[4], row[5], row[2], spent, held)


def _raise_hold(transaction: Transaction, hold: Hold, more_nano: int, deadline: int) -> None:
    transaction.execute(statements.HOLD_ON_BALANCE, (more_nano, hold.account_id))
    transaction.execute(statements.RAISE_ON_KEY, (more_nano, hold.key_id, hold.window))
    transaction.execute(statements.RAISE_HOLD, (more_nano, deadline, hold.id))


def extend_hold(transaction: Transaction, hold_id: str, more_nano: int, deadline: int) -> int:
    """Raise an open hold by as much of ``more_nano`` as money and limit leave; 0 when nothing is left."""
    hold = _find_hold(transaction, hold_id)
    if hold is None or hold.state not in OPEN_STATES:
        return 0
    funds = _funds_of(transaction, hold)
    granted = 0 if funds is None else grant(funds, amount_nano=more_nano, least_nano=1)
    if granted:
        _raise_hold(transaction, hold, granted, deadline)
    return granted


def journal_hold(transaction: Transaction, hold_id: str, observed_nano: int, observed: bytes, deadline: int) -> None:
    """Note what was delivered so far, for recovery."""
    transaction.execute(statements.JOURNAL_HOLD, (observed_nano, observed, deadline, hold_id))


def settle_hold(transaction: Transaction, settlement: Settlement) -> Settled:
    """Post or void a hold, move the money, write the log row: all or nothing, and once."""
    hold = _find_hold(transaction, settlement.hold_id)
    if hold is None or hold.state not in OPEN_STATES:
        return Settled(changed=False, final_nano=0 if hold is None else hold.final_nano or 0)
    free_nano = 0
    if settlement.wanted_nano > hold.amount_nano:
        funds = _funds_of(transaction, hold)
        free_nano = 0 if funds is None else funds.free()
    posting = settle(
        held_nano=hold.amount_nano,
        wanted_nano=settlement.wanted_nano,
        ceiling_nano=settlement.ceiling_nano,
        free_nano=free_nano,
    )
    if posting.raise_nano:
        _raise_hold(transaction, hold, posting.raise_nano, hold.deadline)
    amount, final = hold.amount_nano + posting.raise_nano, posting.final_nano
    state = "posted" if final else "voided"
    transaction.execute(statements.END_HOLD, (state, final, settlement.usage_source, hold.id))
    transaction.execute(statements.RELEASE_BALANCE, (final, amount, hold.account_id))
    transaction.execute(statements.RELEASE_KEY, (final, amount, hold.key_id, hold.window))
    if final:
        transfer(
            transaction, kind="usage", ref=hold.id, source=hold.account_id, target=REVENUE, amount_nano=final,
            now=settlement.now, source_is_settled=True,
        )  # fmt: skip
    if posting.loss_nano:
        transfer(
            transaction, kind="platform_loss", ref=f"loss:{hold.id}", source=PLATFORM_LOSS, target=REVENUE,
            amount_nano=posting.loss_nano, now=settlement.now,
        )  # fmt: skip
    if settlement.log is not None:
        settlement.log.cost_nano = final
        settlement.log.held_nano = amount
        append_log(transaction, settlement.log)
    return Settled(changed=True, final_nano=final, loss_nano=posting.loss_nano)


def transfer(
    transaction: Transaction,
    *,
    kind: str,
    ref: str,
    source: str,
    target: str,
    amount_nano: int,
    now: int,
    transfer_id: str | None = None,
    note: str = "",
    source_is_settled: bool = False,
) -> None:
    """Book money from one account to another. ``source_is_settled``: its balance was reduced already."""
    identifier = transfer_id or new_identifier("trf", now)
    transaction.execute(statements.INSERT_TRANSFER, (identifier, kind, ref, note, now))
    transaction.execute(statements.INSERT_POSTINGS, (identifier, target, amount_nano, source))
    transaction.execute(statements.MOVE_BALANCE, (amount_nano, target))
    if not source_is_settled:
        transaction.execute(statements.MOVE_BALANCE, (-amount_nano, source))


def credit(
    transaction: Transaction,
    *,
    kind: str,
    ref: str,
    house: str,
    account_id: str,
    amount_nano: int,
    now: int,
    transfer_id: str,
    note: str,
) -> None:
    """Book money from one of the house's accounts to a person's (negative: back), where ``transfers`` finds it."""
    transfer(
        transaction, kind=kind, ref=ref, source=house, target=account_id, amount_nano=amount_nano, now=now,
        transfer_id=transfer_id, note=note,
    )  # fmt: skip
    transaction.execute(statements.INSERT_CREDIT, (transfer_id, account_id))


def append_log(transaction: Transaction, row: LogRow) -> None:
    """Write one log row and add it to the sums of its hour, day and month; a row that is there stays as it is."""
    transaction.execute(statements.INSERT_LOG, msgspec.structs.astuple(row))
    if transaction.changes() == 0:
        return
    time, account_id, key_id, cost = row.time, row.account_id, row.key_id, row.cost_nano
    # A caller may write anything for a model: calls that reached no channel are summed up under no name, so that
    # the sums are as many as the models that exist.
    model = row.model if row.channel or cost else ""
    timed = row.first_token_ms is not None
    transaction.execute(
        statements.ADD_TO_HOUR,
        (
            account_id, time - time % _MS_PER_HOUR, model, row.channel, int(row.status >= _ERRORS_FROM),
            row.input_tokens, row.cached_input_tokens, row.cache_write_tokens, row.output_tokens,
            int(timed), row.first_token_ms if timed else 0, cost,
        ),
    )  # fmt: skip
    transaction.execute(
        statements.ADD_TO_DAY,
        (window_of("daily", time), key_id, model, row.input_tokens, row.output_tokens, cost),
    )
    transaction.execute(statements.ADD_TO_MONTH, (account_id, window_of("monthly", time), key_id, cost))


def recover_hold(transaction: Transaction, hold: Hold, now: int) -> Settled:
    """End a hold whose server is gone: post what it had journalled, or void it, and log it as interrupted."""
    if hold.observed is not None:
        log = msgspec.json.decode(hold.observed, type=LogRow)
    else:
        model = _first(transaction.execute("SELECT model FROM price_version WHERE id = ?", (hold.price_version,)))
        log = LogRow(
            request_id=hold.request_id, time=hold.created_at, account_id=hold.account_id, key_id=hold.key_id,
            model=model[0] if model else "", channel="", client_dialect="", upstream_dialect="", stream=False,
            status=503, price_version=hold.price_version,
        )  # fmt: skip
    log.error_code = "interrupted"
    log.usage_source = "recovered"
    log.total_ms = max(0, now - hold.created_at)
    return settle_hold(
        transaction,
        Settlement(
            hold_id=hold.id,
            wanted_nano=hold.observed_nano or 0,
            ceiling_nano=hold.amount_nano,
            usage_source="recovered",
            now=now,
            log=log,
        ),
    )


def open_holds_of_boot(transaction: Transaction, boot_id: str) -> list[Hold]:
    """Up to a thousand open holds of a server, oldest first."""
    return _holds(transaction.execute(statements.OPEN_HOLDS_OF_BOOT, (boot_id,)))


def overdue_holds(transaction: Transaction, now: int) -> list[Hold]:
    """Up to a thousand open holds whose deadline has passed."""
    return _holds(transaction.execute(statements.OVERDUE_HOLDS, (now,)))


def _holds(rows: Iterable[tuple[Any, ...]]) -> list[Hold]:
    return [Hold(**dict(zip(Hold.__struct_fields__, row, strict=True))) for row in rows]
