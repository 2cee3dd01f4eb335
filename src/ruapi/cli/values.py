"""The values that options take: dollars, durations, expiries, counts."""

from __future__ import annotations

import click

from ruapi.clock import parse_duration, parse_instant, system_clock
from ruapi.money import parse_usd

NONE_WORDS = ("none", "never")


class _Value(click.ParamType):  # type: ignore[type-arg]
    """A value that is read from text."""


class Dollars(_Value):
    """Dollars as nano-dollars; with ``none_allowed`` also ``none``, which gives ``None`` as no cap."""

    name = "usd"

    def __init__(self, *, none_allowed: bool = False) -> None:
        self.none_allowed = none_allowed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Read the text."""
        if value is None or isinstance(value, int):
            return value
        text = str(value).strip()
        if self.none_allowed and text.lower() in NONE_WORDS:
            return None
        try:
            return parse_usd(text)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


class Duration(_Value):
    """``30s``, ``15m``, ``1h``, ``7d`` as milliseconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        try:
            return parse_duration(text)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


class Expiry(_Value):
    """``90d``, ``2027-02-21``, RFC 3339 or ``never`` (``None``) as an instant."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Read the text; a duration counts from now."""
        if value is None or isinstance(value, int):
            return value
        text = str(value).strip()
        if text.lower() in NONE_WORDS:
            return None
        try:
            return _now(ctx) + parse_duration(text)
        except ValueError:
            pass
        try:
            return parse_instant(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no expiry: write 90d, 2027-02-21, 2027-02-21T12:00:00Z or never", param, ctx)


class Since(_Value):
    """``1h`` ago, or an instant."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; a duration counts back from now."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        try:
            return _now(ctx) - parse_duration(text)
        except ValueError:
            pass
        try:
            return parse_instant(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time: write 1h, 7d, 2027-02-21 or 2027-02-21T12:00:00Z", param, ctx)


class Count(_Value):
    """A whole number; with ``none_allowed`` also ``none``, which gives ``None`` as no cap."""

    name = "n"

    def __init__(self, *, none_allowed: bool = False) -> None:
        self.none_allowed = none_allowed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Read the text."""
        if value is None or isinstance(value, int):
            return value
        text = str(value).strip()
        if self.none_allowed and text.lower() in NONE_WORDS:
            return None
        if not (text.isascii() and text.isdigit()) or len(text) > 12:
            self.fail(f"{text!r} is no whole number", param, ctx)
        return int(text)


def _now(context: click.Context | None) -> int:
    """The application's clock, which a test can freeze."""
    application = context.find_root().obj if context else None
    return int(application.clock()) if application is not None else system_clock()
