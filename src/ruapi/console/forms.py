"""Forms: what a browser posted, read field by field, with the errors beside the fields.

::

    form = visit.form
    with form.field("limit"):
        limit_nano = optional_usd(form.text("limit"))
    if form.errors:
        return visit.render("tokens/new.html", status=422, form=form)

Templates read ``form.value("limit")`` and ``form.error("limit")``, so a refused form comes back as it was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.requests import Request

from ruapi.clock import parse_instant
from ruapi.errors import Conflict, InvalidInput, LimitReached
from ruapi.money import parse_percent, parse_usd, parse_whole_number

BODY_BYTES_MAX = 256 * 1024
FIELDS_MAX = 2_000
GENERAL = ""
"""The name under which an error of the form as a whole is kept."""

INSTANT_MIN, INSTANT_MAX = parse_instant("2000-01-01"), parse_instant("2200-01-01")
"""Dates beyond are slips of the pen, and some cannot be written as dates at all."""

_DAY_MS = 86_400_000
_MINUSES = ("-", "\N{MINUS SIGN}")  # as it is typed, and as our own pages print it


class BadForm(Exception):
    """The body is no form, or too large for one."""


class Form:
    """Fields by name, with the errors that were found in them."""

    def __init__(self, fields: list[tuple[str, str]] | None = None) -> None:
        self.fields = fields or []
        self.errors: dict[str, str] = {}
        self._first: dict[str, str] = {}
        for name, value in self.fields:
            self._first.setdefault(name, value)

    def __contains__(self, name: str) -> bool:
        """Whether the field was sent."""
        return name in self._first

    def text(self, name: str, default: str = "") -> str:
        """The field as it was typed, without white space around it."""
        return self._first.get(name, default).strip()

    def secret(self, name: str) -> str:
        """The field exactly as it was typed: a password may begin with a space."""
        return self._first.get(name, "")

    def all(self, name: str) -> list[str]:
        """Every value of a field that may occur several times."""
        return [value.strip() for key, value in self.fields if key == name and value.strip()]

    def checked(self, name: str) -> bool:
        """Whether a check box was ticked."""
        return self._first.get(name, "") not in {"", "0", "off", "false"}

    def number(self, name: str) -> int | None:
        """A whole number, or None when the field is empty."""
        text = self.text(name)
        if not text:
            return None
        try:
            return parse_whole_number(text)
        except ValueError as fault:
            raise InvalidInput(str(fault)) from None

    def usd(self, name: str, *, signed: bool = False) -> int | None:
        """Dollars as nano-USD, or None when the field is empty. With ``signed`` a minus may stand in front."""
        text = self.text(name)
        if not text:
            return None
        sign = 1
        if signed and text.startswith(_MINUSES):
            sign, text = -1, text[1:]
        try:
            return sign * parse_usd(text)
        except ValueError as fault:
            raise InvalidInput(str(fault)) from None

    def percent(self, name: str) -> int:
        """A percentage in basis points, hundredths of a percent. An empty field is refused."""
        try:
            return parse_percent(self.text(name))
        except ValueError as fault:
            raise InvalidInput(str(fault)) from None

    def day(self, name: str, *, end: bool = False) -> int | None:
        """A UTC day or instant in ms, or None when the field is empty; with ``end``, the end of that day."""
        text = self.text(name)
        if not text:
            return None
        try:
            instant = parse_instant(text)
        except (ValueError, OverflowError):
            raise InvalidInput("write a date such as 2027-02-21") from None
        if not INSTANT_MIN <= instant < INSTANT_MAX:
            raise InvalidInput("write a date between 2000 and 2199")
        return instant + _DAY_MS if end and "T" not in text and " " not in text else instant

    # --- for templates ---

    def value(self, name: str, default: object = "") -> str:
        """What the field shows: what was typed, or else the default."""
        if name in self._first:
            return self._first[name]
        return "" if default is None else str(default)

    def error(self, name: str) -> str | None:
        """What is wrong with the field."""
        return self.errors.get(name)

    def field(self, name: str | Callable[[str], str] = GENERAL) -> FieldErrors:
        """Note what goes wrong inside a ``with`` as that field's error; the first one of a field stays.

        Where several fields are checked at once, ``name`` tells the field from the message.
        """
        return FieldErrors(self, name)


class FieldErrors:
    """Takes the expected faults of a block of code as errors of a field."""

    def __init__(self, form: Form, name: str | Callable[[str], str]) -> None:
        self._form = form
        self._name = name

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, fault: BaseException | None, frames: object) -> bool:
        """Note the fault; any other goes on."""
        if not isinstance(fault, InvalidInput | Conflict | LimitReached):
            return False
        text = str(fault)
        self._form.errors.setdefault(self._name if isinstance(self._name, str) else self._name(text), sentence(text))
        return True


def sentence(text: str) -> str:
    """The text of an error as a sentence."""
    shown = text[:1].upper() + text[1:]
    return shown if shown.endswith((".", "?", ":")) else f"{shown}."


async def read_form(request: Request) -> Form:
    """The form that was posted. Raises ``BadForm``."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise BadForm
        chunks.append(chunk)
    body = b"".join(chunks)
    if not body:
        return Form()
    if media_type != "application/x-www-form-urlencoded":
        raise BadForm
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except (UnicodeDecodeError, ValueError):
        raise BadForm from None
    # Line ends as one character, and no NUL, which no field means.
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs if "\0" not in name + value])
