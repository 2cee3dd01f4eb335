"""Words for what the database calls by codes: acts in the audit log, settings, prices, months, browsers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ruapi.console import formats
from ruapi.pricing.rates import Rates, TokenRates
from ruapi.storage.records import AuditEvent

ACTS = {
    "account.adjust": "Balance adjusted",
    "account.topup": "Balance topped up",
    "channel.create": "Channel added",
    "channel.edit": "Channel edited",
    "channel.pause": "Channel paused",
    "channel.remove": "Channel removed",
    "channel.resume": "Channel resumed",
    "code.create": "Codes created",
    "code.disable": "Code disabled",
    "code.redeem": "Code redeemed",
    "key.create": "Token created",
    "key.delete": "Token deleted",
    "key.disable": "Token disabled",
    "key.edit": "Token edited",
    "key.enable": "Token enabled",
    "key.end-old-secrets": "Old key of a token stopped",
    "key.rotate": "Token rotated",
    "link.create": "One-time link made",
    "link.use": "One-time link used up",
    "log.export": "Calls exported",
    "management-key.create": "Management key created",
    "management-key.end": "Management key ended",
    "model.edit": "Model edited",
    "model.price": "Price set",
    "model.sync": "Prices taken over",
    "passkey.add": "Passkey added",
    "passkey.remove": "Passkey removed",
    "passkey.rename": "Passkey renamed",
    "recovery-codes.replace": "Recovery codes replaced",
    "recovery-codes.use": "Recovery code used",
    "session.confirm": "Identity confirmed",
    "session.end": "Signed out",
    "session.start": "Signed in",
    "setting.save": "Settings changed",
    "sign-in.refused": "Sign-in refused",
    "totp.confirm": "Authenticator app turned on",
    "totp.remove": "Authenticator app turned off",
    "totp.start": "Authenticator app prepared",
    "user.create": "User created",
    "user.edit": "User edited",
    "user.freeze": "Spending frozen",
    "user.password": "Password changed",
    "user.unfreeze": "Freeze lifted",
}

# What acts are about, by the first word of an act; in the order of a list to choose from.
KINDS = {
    "key": "Token",
    "user": "User",
    "account": "Balance",
    "code": "Code",
    "channel": "Channel",
    "model": "Model and price",
    "setting": "Settings",
    "session": "Session",
    "sign-in": "Sign-in",
    "passkey": "Passkey",
    "totp": "Authenticator app",
    "recovery-codes": "Recovery codes",
    "link": "One-time link",
    "management-key": "Management key",
    "log": "Log export",
}

SETTINGS = {
    "base_url": "Base URL",
    "name": "Name of the service",
    "sign_up": "Sign-up",
    "low_balance_nano": "Low balance",
    "first_run_done": "First run",
}

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

# The first that fits counts: Edge and Opera call themselves Chrome, and Chrome calls itself Safari.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_PLAIN_LENGTH_MAX = 40


def act(action: str) -> str:
    """An act in words; one that nobody has named is its code."""
    return ACTS.get(action, action)


def counted(number: int, one: str, many: str = "") -> str:
    """``1 call``, ``2 calls``, ``12,345 calls``; ``many`` is for a plural that does not end in s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def month(text: str) -> str:
    """``November 2026`` out of ``2026-11``."""
    year, _, number = text.partition("-")
    return f"{_MONTHS[int(number) - 1]} {year}"


def act_on(event: AuditEvent) -> str:
    """What the act was about, in words; empty where the act says it all."""
    if event.target_kind == "session":
        return browser(event.target_name)
    if event.target_kind == "setting":
        return ", ".join(
            SETTINGS.get(name, name) for name in msgspec.json.decode(event.changes, type=dict[str, object])
        )
    return event.target_name


def prices(rates: Rates) -> str:
    """All that a model costs, each figure with what it is for: ``input $2.00, output $10.00 per million tokens``."""
    return "; ".join(_price_groups(rates))


def _price_groups(rates: Rates) -> Iterator[str]:
    yield _token_prices(rates)
    if rates.per_request:
        yield f"{formats.usd_rate(rates.per_request)} per call"
    for tool, fee in rates.per_tool.items():
        yield f"{tool.replace('_', ' ')} {formats.usd_rate(fee)} per use"
    for tier in rates.tiers:
        yield f"above {formats.count(tier.above_input_tokens)} tokens of input: {_token_prices(tier)}"
    for condition, variant in rates.variants.items():
        field, _, value = condition.partition("=")
        yield f"with {field.replace('_', ' ')} {value}: {', '.join(_price_groups(variant))}"


def _token_prices(rates: TokenRates) -> str:
    found = {name: getattr(rates, name) for name in TokenRates.__struct_fields__}
    told = [f"{name.replace('_', ' ')} {formats.usd_rate(rate)}" for name, rate in found.items() if rate is not None]
    return f"{', '.join(told)} per million tokens"


def browser(user_agent: str) -> str:
    """``Chrome 156 on Linux`` out of what a browser says of itself."""
    mark, name = next(((mark, name) for mark, name in _BROWSERS if mark in user_agent), ("", ""))
    system = next((words for part, words in _SYSTEMS if part in user_agent), "")
    if not name:
        return user_agent[:_PLAIN_LENGTH_MAX] or "Unknown"
    version = re.match(r"\d{1,4}", user_agent.partition(mark)[2])
    return " ".join(filter(None, (name, version[0] if version else "", f"on {system}" if system else "")))
