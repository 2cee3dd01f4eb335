"""What a call cost, as a person reads it: the arithmetic that was done, and in words where it is not the whole story.

The figures come from ``administration.call_costs``; nothing is computed anew here but the rounding, which is what
the exact sum lacks to the whole nano-dollar that was charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ruapi.administration.call_costs import Explanation
from ruapi.canon.losses import CATALOGUE as LOSSES
from ruapi.console import formats
from ruapi.money import TOKENS_PER_RATE
from ruapi.pricing.cost import CostLine
from ruapi.storage.records import LogRow

_CLASSES = {
    "input": "input",
    "cached_input": "cached",
    "cache_write_5m": "written to the cache",
    "cache_write_1h": "written to the cache for an hour",
    "output": "output",
    "reasoning": "reasoning",
    "input_audio": "sound in",
    "cached_input_audio": "sound cached",
    "input_image": "pictures in",
    "output_audio": "sound out",
    "output_image": "pictures out",
    "request": "request",
    "web_search": "web searches",
    "web_fetch": "pages fetched",
}

TIMES = "\N{MULTIPLICATION SIGN}"
_FAILURE = 400
_CLIENT_LEFT = 499

_ERRORS = {
    "account_frozen": "Spending is frozen for the owner of this key.",
    "address_not_allowed": "The call came from an address that this key's list does not hold.",
    "api_key_expired": "The key had expired.",
    "browser_not_allowed": "The key was used from a web page, which it does not allow.",
    "client_gone": "The caller hung up before the answer was complete.",
    "content_policy_violation": "The provider's rules forbid the content.",
    "context_length_exceeded": "The prompt is longer than the model's context.",
    "insufficient_balance": "The balance left too little for this call. Top up the balance.",
    "insufficient_quota": "The operator's account at the provider is used up.",
    "internal_error": "Something broke in the gateway.",
    "invalid_api_key": "The key was disabled or deleted.",
    "invalid_request": "The request could not be used as it was sent.",
    "key_limit_reached": "The key's spend limit left too little for this call. Raise the limit or use another key.",
    "key_revoked": "The key was disabled or deleted while the answer was on its way.",
    "model_not_allowed": "The key may not call this model.",
    "model_not_found": "There is no such model, or it is not for sale.",
    "permission_denied": "The provider does not let the operator's account do this.",
    "rate_limit_exceeded": "There were too many requests or tokens in a minute. Waiting helps.",
    "request_limit_reached": "The call could cost more than the key allows for one request.",
    "request_timeout": "The body of the request stopped coming.",
    "request_too_large": "The body is larger than is allowed.",
    "server_error": "The provider failed by its own account.",
    "service_unavailable": "The gateway had no room for the call. Trying again helps.",
    "stopped_at_limit": "Money ran out in mid-answer. The answer was ended as if it had reached its length.",
    "stopping": "The gateway stopped while the call was under way.",
    "unsupported_media_type": "The body was declared to be something else than JSON.",
    "unsupported_value": "The model does not know something that the request asks for.",
    "untranslatable_request": "The request cannot be said in the protocol of any provider that serves the model.",
    "upstream_authentication_error": "The provider refused the operator's credential.",
    "upstream_error": "The provider failed.",
    "upstream_overloaded": "The provider had no capacity. Trying again helps.",
    "upstream_protocol_error": "The provider's answer did not follow its own protocol.",
    "upstream_timeout": "The provider did not answer, or stopped in mid-answer, for too long.",
    "upstream_unpaid": "The provider wants money of the operator before it serves again.",
    "upstream_unreachable": "No connection to the provider could be made.",
}

_PROTOCOLS = {
    "openai_chat": "Chat Completions",
    "openai_responses": "Responses",
    "openai_embeddings": "Embeddings",
    "anthropic_messages": "Messages",
    "gemini": "Gemini",
}

_USAGE_SOURCES = {
    "provider": "As the provider reported it.",
    "counted": (
        "Counted by the gateway, because the provider reported no usage for what was delivered: the input as it was "
        "estimated, the output as it was delivered."
    ),
    "recovered": (
        "Recovered: the server stopped during the call. Counted is what is known to have been delivered before that."
    ),
}


class Line(NamedTuple):
    """One line of the sum, as text: so many cached tokens times their price, and what that comes to, ``$0.0024``."""

    factors: str
    amount: str


class Arithmetic(NamedTuple):
    """The lines, what they add up to, what rounding added, and their total; then what the figures do not say."""

    lines: tuple[Line, ...]
    exact_sum: str
    rounding: str | None
    """None when the sum is whole nano-dollars."""
    total: str
    remarks: tuple[str, ...]


def arithmetic(row: LogRow, explanation: Explanation, *, variants: Sequence[str] = ()) -> Arithmetic:
    """The sum of a call. ``remarks`` says in words whatever keeps the lines from being the charge.

    ``variants`` are the conditions of the price under which it comes to the same rates as the one that was found.
    """
    units = sum(_units(line) for line in explanation.lines)
    added = explanation.sum_nano * TOKENS_PER_RATE - units
    return Arithmetic(
        lines=tuple(_written(line) for line in explanation.lines),
        exact_sum=formats.usd_line(units, 1),
        rounding=formats.usd_line(added, 1) if added else None,
        total=formats.usd_cost(explanation.sum_nano),
        remarks=tuple(_remarks(row, explanation, variants)),
    )


def _units(line: CostLine) -> int:
    """A line in 10^-15 dollars: millionths of nano-dollars, exact."""
    return line.quantity * line.rate * (TOKENS_PER_RATE // line.per)


def _written(line: CostLine) -> Line:
    name = _CLASSES.get(line.name, line.name.replace("_", " "))
    price = f"{formats.usd_rate(line.rate)}/M" if line.per == TOKENS_PER_RATE else formats.usd_cost(line.rate)
    return Line(
        factors=f"{formats.count(line.quantity)} {name} {TIMES} {price}",
        amount=formats.usd_line(_units(line), 1),
    )


def _remarks(row: LogRow, explanation: Explanation, variants: Sequence[str]) -> list[str]:
    remarks = []
    if explanation.variant is not None:
        asked = " or ".join(variants or (explanation.variant,))
        remarks.append(f"The request asked for {asked}, which has prices of its own.")
    if not explanation.lines:
        if row.cost_nano == 0:
            remarks.append(not_charged(row) or "Nothing was used, so nothing was charged.")
        else:
            remarks.append("The usage behind this charge was not kept, so the lines cannot be shown.")
    elif explanation.sum_nano > explanation.charged_nano:
        short = formats.usd_cost(explanation.sum_nano - explanation.charged_nano)
        reason = (
            "no more than that was held for the call"
            if explanation.charged_nano == explanation.held_nano
            else "the call's own cap on output allows no more"
        )
        remarks.append(
            f"The usage comes to {formats.usd_cost(explanation.sum_nano)}. Charged is "
            f"{formats.usd_cost(explanation.charged_nano)}: {reason}. The operator bears the rest, {short}."
        )
    elif not explanation.is_exact:
        remarks.append("These lines come to less than the charge: the usage was added to after they were written down.")
    if row.usage_source in {"counted", "recovered"}:
        remarks.append(_USAGE_SOURCES[row.usage_source])
    return remarks


def not_charged(row: LogRow) -> str | None:
    """Why a call cost nothing, or None when it was charged (or is free)."""
    if row.cost_nano or row.usage is not None:
        return None
    if row.price_version is None:
        return "Not charged: the call was refused before anything was sent to a provider."
    if row.status == _CLIENT_LEFT:
        return "Not charged: the caller hung up before any output."
    if row.error_code == "internal_error":
        return "Not charged: something broke in the gateway."
    if row.error_code in {"key_revoked", "stopping"}:
        return "Not charged: the call was ended before any output."
    if row.status >= _FAILURE or row.error_code:
        return "Not charged: the provider failed before any output."
    return "Not charged: there was no output."


def explain_error(code: str | None) -> str | None:
    """What an error code of the log means; None for no error or a code that says nothing more."""
    if code is None:
        return None
    if code.startswith("upstream_") and code.removeprefix("upstream_").isdecimal():
        return f"The provider answered {code.removeprefix('upstream_')}. Its words went to the caller."
    return _ERRORS.get(code)


def outcome(row: LogRow) -> str | None:
    """What went wrong and whether that was charged, in one breath: ``The provider failed (upstream_error). …``.

    None for a call that went well.
    """
    reason = not_charged(row)
    if row.error_code is None:
        return reason
    words = explain_error(row.error_code) or "The call failed."
    first, _, rest = words.partition(".")
    told = f"{first} ({row.error_code}).{rest}"
    return told if reason is None else f"{told} {reason}"


def protocol(name: str | None) -> str:
    """A dialect's name as people know it."""
    return _PROTOCOLS.get(name, name) if name else formats.UNKNOWN


def explain_usage_source(source: str | None) -> str | None:
    """Where the token counts come from."""
    return None if source is None else _USAGE_SOURCES.get(source)


def explain_losses(names: str) -> list[tuple[str, str]]:
    """(name, sentence) of everything that a translation could not carry."""
    told = []
    for name in filter(None, names.split(",")):
        if name.startswith("field."):
            sentence = "A field that only its own dialect knows was left out."
        else:
            sentence = LOSSES[name][1] if name in LOSSES else "Something could not be carried."
        told.append((name, sentence))
    return told
