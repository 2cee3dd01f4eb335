"""Stage: from what was used to money moved and a log row, in one durable step.

The provider's usage wins. Without it what was delivered is counted, and the row says so. A cost over the
hold is the operator's loss, and an alarm.
"""

from __future__ import annotations

import msgspec
import structlog

from ruapi.canon.usage import Usage
from ruapi.clock import Clock
from ruapi.gateway.admit import Admitted
from ruapi.money import format_usd
from ruapi.pricing.cost import cost_of
from ruapi.pricing.estimate import count_output
from ruapi.storage.interface.money import MoneyStore
from ruapi.storage.records import LogRow, Settled, Settlement

log = structlog.get_logger("ruapi.settle")

_encode = msgspec.json.Encoder().encode


class Outcome(msgspec.Struct, kw_only=True):
    """How a call ended, as far as the books and the log are concerned."""

    status: int
    usage: Usage | None = None
    usage_source: str = "provider"
    error_code: str | None = None
    finish_reason: str | None = None
    channel: str = ""
    attempts: int = 0
    first_token_ms: int | None = None
    upstream_request_id: str | None = None
    losses: str = ""
    upstream_dialect: str = ""


class Settlements:
    """The stage, with what it leans on."""

    def __init__(self, store: MoneyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.losses_nano = 0

    async def settle(self, admitted: Admitted, outcome: Outcome) -> Settled:
        """Post what the usage costs, or void the hold when there is none. Durable on return."""
        now = self._clock()
        cost = 0 if outcome.usage is None else cost_of(outcome.usage, admitted.rates)
        settled = await self._store.settle_hold(
            Settlement(
                hold_id=admitted.hold.id,
                wanted_nano=cost,
                ceiling_nano=_chargeable(admitted, outcome.usage, cost),
                usage_source=outcome.usage_source,
                now=now,
                log=log_row(admitted, outcome, now),
            )
        )
        if settled.loss_nano:
            self.losses_nano += settled.loss_nano
            log.error(
                "provider reported more than was held",
                request_id=admitted.request_id,
                channel=outcome.channel,
                loss_usd=format_usd(settled.loss_nano),
            )
        return settled

    async def journal(self, admitted: Admitted, outcome: Outcome, deadline: int) -> None:
        """Note what was delivered so far, so that a crash loses nothing of it."""
        row = log_row(admitted, outcome, self._clock())
        cost = 0 if outcome.usage is None else cost_of(outcome.usage, admitted.rates)
        await self._store.journal_hold(admitted.hold.id, observed_nano=cost, observed=_encode(row), deadline=deadline)


def _chargeable(admitted: Admitted, usage: Usage | None, cost_nano: int) -> int:
    """The most that this usage may be charged at: output beyond the call's own cap is not the caller's to pay."""
    allowed = admitted.output_tokens_max
    if usage is None or usage.output_tokens is None or not admitted.is_capped or usage.output_tokens <= allowed:
        return min(admitted.ceiling_nano, cost_nano)
    reasoning = None if usage.reasoning_tokens is None else min(usage.reasoning_tokens, allowed)
    within = msgspec.structs.replace(usage, output_tokens=allowed, reasoning_tokens=reasoning)
    return min(admitted.ceiling_nano, cost_of(within, admitted.rates))


def counted_usage(admitted: Admitted, reported: Usage | None, output_tokens: int) -> Usage:
    """What a provider left out, counted: the input as estimated, the output as delivered."""
    if reported is not None and reported.input_tokens is not None:
        output = max(output_tokens, reported.output_tokens or 0)
        return msgspec.structs.replace(reported, output_tokens=output)
    return Usage(input_tokens=admitted.input_tokens_counted, output_tokens=output_tokens)


def count_texts(texts: list[str]) -> int:
    """Tokens of an answer whose provider counted none."""
    return count_output("".join(texts))


def log_row(admitted: Admitted, outcome: Outcome, now: int) -> LogRow:
    """The row of a call; the store fills in what was charged."""
    usage = outcome.usage or Usage()
    return LogRow(
        request_id=admitted.request_id,
        time=admitted.started_at,
        account_id=admitted.caller.key.account_id,
        key_id=admitted.caller.key.id,
        model=admitted.facts.model,
        channel=outcome.channel,
        client_dialect=admitted.dialect.name,
        upstream_dialect=outcome.upstream_dialect,
        stream=admitted.facts.stream,
        status=outcome.status,
        error_code=outcome.error_code,
        finish_reason=outcome.finish_reason,
        input_tokens=usage.input_total_tokens or 0,
        cached_input_tokens=usage.cache_read_tokens or 0,
        cache_write_tokens=usage.cache_write_total_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        reasoning_tokens=usage.reasoning_tokens or 0,
        usage=None if outcome.usage is None else _encode(outcome.usage),
        price_version=admitted.offer.price.id,
        usage_source=outcome.usage_source if outcome.usage is not None else None,
        attempts=outcome.attempts,
        first_token_ms=outcome.first_token_ms,
        total_ms=max(0, now - admitted.started_at),
        losses=outcome.losses,
        upstream_request_id=outcome.upstream_request_id,
        client_address=admitted.client_address,
    )
