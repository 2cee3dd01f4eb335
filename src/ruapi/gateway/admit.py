"""Stage: from an unread body to money on hold.

In order, cheapest first: origin, body, what the call is, model access, the offer, rates, and last the hold.
Once a hold exists, exactly one of post, void or recovery ends it.

How much is held. Input: an estimate that errs high. Output: the caller's own cap, or the model's maximum.
A whole answer without a cap takes at most a share of what is free, so that one call does not block others;
a stream without one starts with a slice and grows. When less is free than wanted, output is lowered to what
fits, down to a useful minimum.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.request import Request
from ruapi.canon.usage import Usage
from ruapi.clock import Clock
from ruapi.counters.local import LocalCounters
from ruapi.dialects.call import CallFacts, InvalidField
from ruapi.dialects.registry import ClientDialect
from ruapi.dialects.strict_json import InvalidJSON, decode_object
from ruapi.errors import (
    AccountFrozen,
    BadKey,
    BodyTooLarge,
    InvalidRequest,
    KeyLimitReached,
    ModelNotFound,
    OutOfFunds,
    Problem,
    RateLimited,
    RequestLimitReached,
    UnsupportedMediaType,
    UntranslatableRequest,
)
from ruapi.gateway.authenticate import Caller
from ruapi.gateway.call_exchange import CallExchange
from ruapi.gateway.directory import Directory, Offer
from ruapi.identifiers import new_identifier
from ruapi.money import AMOUNT_NANO_MAX, format_usd
from ruapi.policy.model_access import check_model
from ruapi.policy.origin import check_address, check_browser, client_address
from ruapi.pricing.estimate import count_output_bytes, estimate_input
from ruapi.pricing.quote import output_affordable, quote
from ruapi.pricing.rates import Rates, rates_under
from ruapi.routing.candidates import Candidate, upstream_dialect
from ruapi.storage.interface.money import MoneyStore
from ruapi.storage.records import Hold, HoldRefused, HoldRequest

HOLD_LIFE_MS = 300_000
"""How long a hold may stay open without a sign of life; longer than every timeout of an upstream call."""

_INPUT_TOKENS_UNKNOWN = 10_000_000
_OUTPUT_TOKENS_UNKNOWN = 10_000_000
_JSON_TYPES = (b"application/json",)
_RATE_CONDITIONS = ("service_tier", "speed", "inference_geo")


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that this stage needs."""

    body_bytes_max: int = 32 * 1024 * 1024
    json_depth_max: int = 200
    useful_output_tokens_min: int = 256
    output_share_percent: int = 25
    stream_slice_tokens: int = 2048
    input_tokens_held_min: int = 1_024
    """No hold is for less input than this."""
    output_tokens_unknown: int = 16_384
    """Taken as a model's maximum when nobody knows it."""
    trusted_proxies: tuple[str, ...] = ()


class Admitted(msgspec.Struct, kw_only=True):
    """A call that may go upstream: what it is, what is held for it, and how far it may go."""

    request_id: str
    dialect: ClientDialect
    caller: Caller
    client_address: str
    started_at: int
    body: bytes
    document: dict[str, Any]
    facts: CallFacts
    offer: Offer
    rates: Rates
    candidates: list[Candidate]
    hold: Hold
    input_tokens_estimated: int
    """Errs high: what is held for."""
    input_tokens_counted: int
    """A fair count, charged where the provider tells none."""
    output_tokens_cap: int | None
    """Set when output is lowered for want of money: sent upstream, per choice."""
    ceiling_nano: int
    """The most that this call may cost by its own limits."""
    grows: bool
    """A stream without a cap of its own: its hold is extended as output grows."""
    output_tokens_max: int
    """All choices together: the cap in force, or the model's maximum."""
    strict: bool
    """Whether a loss that changes the meaning refuses the call."""
    canonical: Request | None = None
    """The body in canonical form, once a candidate of another dialect has asked for it."""
    is_capped: bool
    """Whether that is a real bound, and not our guess at the maximum of a model that nobody knows."""


class Refusal(msgspec.Struct, kw_only=True):
    """Why a call goes no further, with what is known of it for the log."""

    problem: Problem
    model: str = ""
    stream: bool = False


class Admission:
    """The stage, with what it leans on."""

    def __init__(
        self,
        *,
        store: MoneyStore,
        directory: Directory,
        counters: LocalCounters,
        clock: Clock,
        boot_id: str,
        settings: AdmissionSettings,
    ) -> None:
        self._store = store
        self._directory = directory
        self._counters = counters
        self._clock = clock
        self._boot_id = boot_id
        self._settings = settings

    async def admit(
        self, exchange: CallExchange, dialect: ClientDialect, caller: Caller, request_id: str, started_at: int
    ) -> Admitted | Refusal:
        """Take a call in, or say why not. Raises ``ClientGone`` and ``BodyTimedOut``."""
        address = self.check_origin(exchange, caller)
        if isinstance(address, Problem):
            return Refusal(problem=address)
        body = await self.read_body(exchange)
        if isinstance(body, Problem):
            return Refusal(problem=body)
        try:
            document = decode_object(body, depth_max=self._settings.json_depth_max)
            facts = dialect.read_call(document)
        except InvalidJSON as fault:
            return Refusal(problem=InvalidRequest(f"Nothing was sent on: {fault}."))
        except InvalidField as fault:
            return Refusal(problem=InvalidRequest(f"{fault}.", figures={"param": fault.field}))
        offered = self._find_offer(caller, dialect, facts, document)
        if isinstance(offered, Problem):
            return Refusal(problem=offered, model=facts.model, stream=facts.stream)
        offer, rates, candidates = offered
        limited = self.enter(caller, started_at)
        if limited is not None:
            return Refusal(problem=limited, model=facts.model, stream=facts.stream)
        admitted = None
        try:
            admitted = await self._hold(
                request_id,
                dialect,
                caller,
                address,
                started_at,
                body,
                document,
                facts,
                offer,
                rates,
                candidates,
            )
            if isinstance(admitted, Admitted) and _asks_strictly(exchange):
                admitted.strict = True
        finally:
            if not isinstance(admitted, Admitted):
                self.leave(caller, tokens=0)
        return admitted

    def check_origin(self, exchange: CallExchange, caller: Caller) -> str | Problem:
        """The caller's address, when the key may be used from there and from no web page."""
        key, settings = caller.key, self._settings
        # A proxy may add a line of its own behind one that the caller wrote: all of them are one list.
        forwarded = b",".join(exchange.header_values(b"x-forwarded-for")) or None
        address = client_address(exchange.client_address, forwarded, settings.trusted_proxies)
        problem = check_address(key.allowed_ips, address) or check_browser(
            browser_use=key.browser_use,
            origin=exchange.header(b"origin"),
            fetch_site=exchange.header(b"sec-fetch-site"),
        )
        return address if problem is None else problem

    async def read_body(self, exchange: CallExchange) -> bytes | Problem:
        """The body, when it is declared to be plain JSON and within the limit."""
        content_type = exchange.header(b"content-type")
        if content_type is not None and content_type.partition(b";")[0].strip().lower() not in _JSON_TYPES:
            return UnsupportedMediaType("The body must be JSON: send 'content-type: application/json'.")
        encoding = exchange.header(b"content-encoding")
        if encoding is not None and encoding.strip().lower() != b"identity":
            return UnsupportedMediaType("Compressed bodies are not accepted: send plain JSON.")
        body = await exchange.read_body(self._settings.body_bytes_max)
        if body is None:
            return BodyTooLarge(f"The body is larger than {self._settings.body_bytes_max} bytes.")
        return body

    def _find_offer(
        self, caller: Caller, dialect: ClientDialect, facts: CallFacts, document: dict[str, Any]
    ) -> tuple[Offer, Rates, list[Candidate]] | Problem:
        refused = check_model(caller.key.models, facts.model)
        if refused is not None:
            return refused
        offer = self._directory.offer(facts.model)
        if isinstance(offer, Problem):
            # A near name is no hint to a key that may not call it.
            if caller.key.models and "Did you mean" in offer.message:
                return ModelNotFound(
                    f"The model '{facts.model}' does not exist here. GET /v1/models lists what there is.",
                    figures={"param": "model"},
                )
            return offer
        candidates = [
            candidate for candidate in offer.candidates if upstream_dialect(candidate.kind, dialect.name) is not None
        ]
        if not candidates:
            return UntranslatableRequest(
                f"The model '{facts.model}' is served in a protocol that has nothing like this endpoint."
            )
        rates = rates_under(
            offer.rates,
            {name: value for name in _RATE_CONDITIONS if isinstance(value := document.get(name), str)},
        )
        if rates is None:
            return InvalidRequest(
                f"'{facts.model}' has no price for the service tier, speed or region that the request asks for. "
                "Leave 'service_tier', 'speed' and 'inference_geo' out."
            )
        return offer, rates, candidates

    def enter(self, caller: Caller, now: int) -> Problem | None:
        """Count a call into the key's rates, or refuse it."""
        key = caller.key
        if key.requests_per_minute is None and key.tokens_per_minute is None and key.concurrency is None:
            return None
        verdict = self._counters.enter(
            key.id,
            requests_per_minute=key.requests_per_minute,
            tokens_per_minute=key.tokens_per_minute,
            concurrency=key.concurrency,
            now=now,
        )
        if verdict is None:
            return None
        unit = "parallel requests" if verdict.limit == "concurrency" else f"{verdict.limit} a minute"
        return RateLimited(
            f"This key allows {verdict.most} {unit}. Try again in {verdict.retry_after_s} s.",
            headers=(
                ("retry-after", str(verdict.retry_after_s)),
                (f"x-ratelimit-limit-{verdict.limit}", str(verdict.most)),
                (f"x-ratelimit-remaining-{verdict.limit}", "0"),
                (f"x-ratelimit-reset-{verdict.limit}", f"{verdict.retry_after_s}s"),
            ),
        )

    def leave(self, caller: Caller, *, tokens: int) -> None:
        """Count a call out of the key's rates."""
        key = caller.key
        if key.requests_per_minute is None and key.tokens_per_minute is None and key.concurrency is None:
            return
        self._counters.leave(key.id, tokens=tokens, now=self._clock())

    async def _hold(
        self,
        request_id: str,
        dialect: ClientDialect,
        caller: Caller,
        address: str,
        started_at: int,
        body: bytes,
        document: dict[str, Any],
        facts: CallFacts,
        offer: Offer,
        rates: Rates,
        candidates: list[Candidate],
    ) -> Admitted | Refusal:
        key = caller.key
        estimated = estimate_input(body, document, context_tokens=offer.model.context_tokens)
        counted = min(estimated, count_output_bytes(len(body)))
        wish = plan(facts, offer, rates, estimated, counted, key.max_per_request_nano, self._settings)
        if isinstance(wish, Problem):
            return Refusal(problem=wish, model=facts.model, stream=facts.stream)
        now = self._clock()
        hold = await self._store.place_hold(
            HoldRequest(
                id=new_identifier("hold", now),
                request_id=request_id,
                account_id=key.account_id,
                key_id=key.id,
                price_version=offer.price.id,
                amount_nano=wish.amount_nano,
                least_nano=wish.least_nano,
                share_percent=wish.share_percent,
                boot_id=self._boot_id,
                created_at=now,
                deadline=now + HOLD_LIFE_MS,
            )
        )
        if isinstance(hold, HoldRefused):
            return Refusal(problem=refusal_problem(hold), model=facts.model, stream=facts.stream)
        cap = wish.cap_for(hold.amount_nano, rates, counted, facts)
        return Admitted(
            request_id=request_id,
            dialect=dialect,
            caller=caller,
            client_address=address,
            started_at=started_at,
            body=body,
            document=document,
            facts=facts,
            offer=offer,
            rates=rates,
            candidates=candidates,
            hold=hold,
            input_tokens_estimated=estimated,
            input_tokens_counted=counted,
            output_tokens_cap=cap,
            ceiling_nano=wish.ceiling(cap, offer, rates, facts, key.max_per_request_nano),
            grows=wish.grows,
            strict=key.strict_losses,
            is_capped=cap is not None or wish.capped_by_caller or offer.model.output_tokens_max is not None,
            output_tokens_max=(cap or wish.output_tokens_max) * facts.choices,
        )


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How much to hold for a call."""

    amount_nano: int
    least_nano: int
    share_percent: int
    output_tokens_max: int
    """Per choice: the caller's cap, or the model's maximum."""
    capped_by_caller: bool
    grows: bool
    """A stream without a cap: its hold is extended as output grows."""
    full_nano: int
    """What covers all of ``output_tokens_max``; a hold of that much needs no cap upstream."""

    def cap_for(self, granted_nano: int, rates: Rates, estimated: int, facts: CallFacts) -> int | None:
        """The cap to send upstream when less was granted than the call may cost; None to send it untouched."""
        if self.grows or granted_nano >= self.full_nano:
            return None
        tokens = output_affordable(
            rates,
            amount_nano=granted_nano,
            input_tokens_max=estimated,
            cache_writes=facts.cache_writes,
            tool_calls_max=facts.hosted_calls_max,
        )
        return max(1, min(tokens // facts.choices, self.output_tokens_max))

    def ceiling(
        self, cap: int | None, offer: Offer, rates: Rates, facts: CallFacts, max_per_request_nano: int | None
    ) -> int:
        """The most that the call may cost: its own cap on output, the model's context, the key's cap per call."""
        if cap is not None:
            output = cap
        elif self.capped_by_caller or offer.model.output_tokens_max is not None:
            output = self.output_tokens_max
        else:
            output = _OUTPUT_TOKENS_UNKNOWN
        most = quote(
            rates,
            # A provider that uses tools of its own bills each pass of its loop as input once more.
            input_tokens_max=(offer.model.context_tokens or _INPUT_TOKENS_UNKNOWN) * (1 + facts.hosted_calls_max),
            output_tokens_max=output * facts.choices,
            cache_writes=True,
            tool_calls_max=facts.hosted_calls_max,
        )
        return most if max_per_request_nano is None else min(most, max_per_request_nano)


def plan(
    facts: CallFacts,
    offer: Offer,
    rates: Rates,
    estimated: int,
    counted: int,
    max_per_request_nano: int | None,
    settings: AdmissionSettings,
) -> Wish | Problem:
    """How much to hold for a call, or why its key can never pay for it.

    Providers put prompts of their own before the caller's, so no hold is for less input than a floor. Without
    it a burst of short calls would be let in on much less than they turn out to cost.
    """
    model_max = offer.model.output_tokens_max or settings.output_tokens_unknown
    asked = facts.output_tokens_max
    output = model_max if asked is None else min(asked, offer.model.output_tokens_max or asked)
    grows = asked is None and facts.stream
    held_output = min(output, settings.stream_slice_tokens) if grows else output

    def price_of(input_tokens: int, output_tokens: int) -> int:
        return quote(
            rates,
            input_tokens_max=input_tokens,
            output_tokens_max=output_tokens * facts.choices,
            cache_writes=facts.cache_writes,
            tool_calls_max=facts.hosted_calls_max,
        )

    floor, useful = settings.input_tokens_held_min, min(output, settings.useful_output_tokens_min)
    amount, least = price_of(max(estimated, floor), held_output), price_of(max(counted, floor), useful)
    if max_per_request_nano is not None:
        needed = price_of(counted, useful)
        if needed > max_per_request_nano:
            return RequestLimitReached(
                f"This call could cost ${format_usd(needed)} or more, and the key allows "
                f"${format_usd(max_per_request_nano)} for one request.",
                headers=(("x-should-retry", "false"),),
                figures={
                    "max_per_request_usd": format_usd(max_per_request_nano),
                    "needed_usd": format_usd(needed),
                },
            )
        amount, least = min(amount, max_per_request_nano), min(least, max_per_request_nano)
    # A model that costs nothing still gets a hold, the smallest there is: one call, one entry in the books.
    return Wish(
        amount_nano=min(max(1, amount), AMOUNT_NANO_MAX),
        least_nano=max(1, least),
        share_percent=settings.output_share_percent if asked is None and not grows else 100,
        output_tokens_max=output,
        capped_by_caller=asked is not None,
        grows=grows,
        full_nano=price_of(estimated, output),
    )


def refusal_problem(refused: HoldRefused) -> Problem:
    """A refused hold in words and figures."""
    headers = (("x-should-retry", "false"),)
    needed = format_usd(refused.least_nano)
    if refused.reason == "key_limit":
        limit = refused.limit_nano or 0
        left = max(0, limit - refused.spent_nano - refused.held_nano)
        return KeyLimitReached(
            f"This key's spend limit is ${format_usd(limit)}: ${format_usd(refused.spent_nano)} is spent, "
            f"${format_usd(refused.held_nano)} is held by open calls, ${format_usd(left)} is left, and this call "
            f"needs at least ${needed}. Raise the limit or use another key.",
            headers=headers,
            figures={
                "limit_usd": format_usd(limit),
                "spent_usd": format_usd(refused.spent_nano),
                "held_usd": format_usd(refused.held_nano),
                "remaining_usd": format_usd(left),
                "needed_usd": needed,
            },
        )
    if refused.reason == "balance":
        balance = refused.limit_nano or 0
        left = max(0, balance - refused.held_nano)
        return OutOfFunds(
            f"The balance is ${format_usd(balance)}: ${format_usd(refused.held_nano)} is held by open calls, "
            f"${format_usd(left)} is free, and this call needs at least ${needed}. Top up the balance.",
            headers=headers,
            figures={
                "balance_usd": format_usd(balance),
                "held_usd": format_usd(refused.held_nano),
                "available_usd": format_usd(left),
                "needed_usd": needed,
            },
        )
    if refused.reason == "account_frozen":
        return AccountFrozen("Spending is frozen for the owner of this key.")
    return BadKey("This key is disabled or was deleted.")


def _asks_strictly(exchange: CallExchange) -> bool:
    value = exchange.header(b"x-ruapi-strict-losses")
    return value is not None and value.strip().lower() in {b"1", b"true", b"yes"}


def tokens_of(usage: Usage) -> int:
    """All tokens of a call, for the key's rate per minute."""
    return (usage.input_total_tokens or 0) + (usage.output_tokens or 0)
