"""What the operator chose in the console, as far as the database keeps it."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ruapi.administration import fields
from ruapi.errors import InvalidInput
from ruapi.storage.interface.administration import AdministrationStore

SIGN_UPS = ("closed", "invite")
BASE_URL_LENGTH_MAX = 300
LOW_BALANCE_DEFAULT_NANO = 5_000_000_000

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PORTS = {"http": 80, "https": 443}


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices. A field that was never chosen has its default."""

    base_url: str | None = None
    """Where people and programs reach this service, without a path; None: where it listens."""
    name: str = "ruapi"
    """What pages and authenticator apps call the service."""
    sign_up: str = "invite"
    """Whether administrators may invite people: ``closed`` or ``invite``."""
    low_balance_nano: int = LOW_BALANCE_DEFAULT_NANO
    """The balance under which pages warn a person who chose nothing else; 0 warns nobody."""
    first_run_done: bool = False
    """Whether the steps of the first run were finished or left."""


def load(store: AdministrationStore) -> Instance:
    """The choices in force. A value that does not fit its field any more counts as never chosen."""
    kept = store.settings()
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(Instance):
        if field.name in kept:
            try:
                found[field.name] = msgspec.json.decode(kept[field.name], type=field.type)
            except msgspec.DecodeError:
                continue
    return Instance(**found)


def save(store: AdministrationStore, instance: Instance, *, now: int) -> Instance:
    """Check and store the choices; returns them as stored. Raises ``InvalidInput``."""
    checked = check(instance)
    before = load(store)
    values = {
        name: msgspec.json.encode(value).decode()
        for name, value in msgspec.structs.asdict(checked).items()
        if value != getattr(before, name)
    }
    if values:
        store.save_settings(values, now=now)
    return checked


def check(instance: Instance) -> Instance:
    """The choices as they are stored. Raises ``InvalidInput``."""
    if instance.sign_up not in SIGN_UPS:
        raise InvalidInput(f"{instance.sign_up!r} is no way to sign up: {', '.join(SIGN_UPS)}")
    if instance.low_balance_nano < 0:
        raise InvalidInput("the balance to warn under must be 0 or more")
    return msgspec.structs.replace(
        instance,
        base_url=None if instance.base_url is None else check_base_url(instance.base_url),
        name=fields.check_name(instance.name, field="name of the service"),
    )


def check_base_url(text: str) -> str:
    """The address of this service: scheme, host and perhaps a port, without a path. Raises ``InvalidInput``."""
    url = fields.check_line(text, field="base URL", length_max=BASE_URL_LENGTH_MAX).rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput(f"{url!r} is no address: write https://ai.example.com") from None
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or not _is_host(host):
        raise InvalidInput(f"{url!r} is no address: write https://ai.example.com")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("the base URL must not hold a name or a password")
    if parts.path or parts.query or parts.fragment or "?" in url or "#" in url:
        raise InvalidInput("the base URL ends after the host and the port: write https://ai.example.com")
    shown_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown_host}" + ("" if port in {None, _PORTS[parts.scheme]} else f":{port}")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.split("."))
    return True
