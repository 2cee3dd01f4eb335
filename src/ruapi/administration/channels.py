"""Channels: providers' endpoints with their sealed secrets.

A base URL is where our servers will send requests and a secret, so it is checked when it is saved and
again at every connection: an address inside the operator's own network needs ``allow_private_address``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ruapi.administration import fields
from ruapi.administration.servers import wait_for_servers
from ruapi.clock import format_instant
from ruapi.credentials.sealing import Sealer
from ruapi.errors import Conflict, InvalidInput, NotFound
from ruapi.identifiers import new_identifier
from ruapi.storage.interface.administration import AdministrationStore
from ruapi.storage.records import Channel

KINDS = ("openai", "openai-compatible", "openai-responses", "anthropic", "gemini")
# What these vendors' SDKs add to the base URL themselves.
_ADDED_BY_SDK = {"anthropic": ("/v1",), "gemini": ("/v1", "/v1beta")}

SECRET_LENGTH_MAX = 8_192
PRIORITY_MAX = 1_000_000
WEIGHT_MAX = 1_000_000

TABLE = "channel"
SECRET_COLUMN = "secret"  # noqa: S105 - the name of what is sealed


def add(
    store: AdministrationStore,
    sealer: Sealer,
    *,
    name: str,
    kind: str,
    base_url: str,
    secret: str,
    models: Iterable[str] = (),
    priority: int = 0,
    weight: int = 1,
    allow_private_address: bool = False,
    now: int,
    warn: Callable[[str], None] = lambda _: None,
) -> Channel:
    """Add a channel. ``models`` are texts ``PUBLIC`` or ``PUBLIC=UPSTREAM``; none means any priced model.

    ``warn`` is told what is odd and no fault.
    """
    checked_name = _check_name(store, name)
    if kind not in KINDS:
        raise InvalidInput(f"{kind!r} is no kind of channel: {', '.join(KINDS)}")
    _check_order(priority, weight)
    channel_id = new_identifier("chn", now)
    plain = _check_secret(secret, may_be_empty=allow_private_address)
    channel = Channel(
        id=channel_id,
        name=checked_name,
        kind=kind,
        base_url=check_base_url(base_url, kind=kind, allow_private=allow_private_address, warn=warn),
        secret_sealed=sealer.seal(plain.encode(), table=TABLE, row=channel_id, column=SECRET_COLUMN),
        priority=priority,
        weight=weight,
        allow_private_address=allow_private_address,
        models=check_models(models),
        created_at=now,
    )
    wait_for_servers(store, store.save_channel(channel))
    return channel


def edit(
    store: AdministrationStore,
    sealer: Sealer,
    channel: Channel,
    *,
    name: str | None = None,
    base_url: str | None = None,
    secret: str = "",
    models: Iterable[str] | None = None,
    priority: int | None = None,
    weight: int | None = None,
    allow_private_address: bool | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Channel:
    """Change a channel; what is None stays, and so does the secret when it is empty. The kind never changes.

    A kept secret goes to no other server: with another scheme, host or port the secret is asked for again. Otherwise
    whoever may edit a channel could have its secret sent to themselves.
    """
    fresh = _current(store, channel)
    allow_private = fresh.allow_private_address if allow_private_address is None else allow_private_address
    url = fresh.base_url if base_url is None else base_url
    if (url, allow_private) != (fresh.base_url, fresh.allow_private_address):
        url = check_base_url(url, kind=fresh.kind, allow_private=allow_private, warn=warn)
    changed = msgspec.structs.replace(
        fresh,
        name=fresh.name if name is None else _check_name(store, name, but=fresh),
        base_url=url,
        models=fresh.models if models is None else check_models(models),
        priority=fresh.priority if priority is None else priority,
        weight=fresh.weight if weight is None else weight,
        allow_private_address=allow_private,
    )
    _check_order(changed.priority, changed.weight)
    plain = _check_secret(secret, may_be_empty=True)
    if plain:
        sealed = sealer.seal(plain.encode(), table=TABLE, row=fresh.id, column=SECRET_COLUMN)
        changed = msgspec.structs.replace(changed, secret_sealed=sealed)
    else:
        _check_kept_secret(sealer, fresh, changed)
    return _save(store, changed)


def _check_name(store: AdministrationStore, name: str, *, but: Channel | None = None) -> str:
    """The name as it is stored; no other channel may have it."""
    checked = fields.check_name(name)
    if any(channel.name == checked and (but is None or channel.id != but.id) for channel in store.list_channels()):
        raise Conflict(f"there is a channel {checked!r} already")
    return checked


def _check_order(priority: int, weight: int) -> None:
    """Whether priority and weight are within their bounds."""
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        raise InvalidInput(f"the priority must be between -{PRIORITY_MAX} and {PRIORITY_MAX}")
    if not 1 <= weight <= WEIGHT_MAX:
        raise InvalidInput(f"the weight must be between 1 and {WEIGHT_MAX}")


def _check_kept_secret(sealer: Sealer, before: Channel, after: Channel) -> None:
    """Whether the secret that is kept may go where the channel leads now."""
    old, new = urlsplit(before.base_url), urlsplit(after.base_url)
    same_server = (old.scheme, old.netloc.lower()) == (new.scheme, new.netloc.lower())
    if same_server and (after.allow_private_address or not before.allow_private_address):
        return
    if unseal_secret(sealer, before):
        if not same_server:
            raise InvalidInput("the secret must be given again: it was kept for another server")
    elif not after.allow_private_address:
        raise InvalidInput("the secret is empty: only a server within your own network may ask for none")


def _current(store: AdministrationStore, channel: Channel) -> Channel:
    """The channel as stored now: what was read earlier may have been paused since."""
    for stored in store.list_channels():
        if stored.id == channel.id:
            return stored
    raise NotFound(f"there is no channel {channel.name!r}")


def check_base_url(text: str, *, kind: str, allow_private: bool, warn: Callable[[str], None]) -> str:
    """The base URL without a slash at the end; raises ``InvalidInput``.

    A name that does not resolve now is let through with a warning, so that a machine can be set up before
    its network: every connection checks the address again.
    """
    # Imported late: it brings the whole upstream client, and a list of channels needs none.
    from ruapi.upstream.address_guard import check_resolved, split_url  # noqa: PLC0415

    url = text.strip().rstrip("/")
    try:
        target, path = split_url(url, allow_private=allow_private)
        for ending in _ADDED_BY_SDK.get(kind, ()):
            if path.endswith(ending):
                raise InvalidInput(f"the base URL of kind {kind} is written without {ending}: that is added")
        addresses = _resolve(target.host, target.port)
        if addresses:
            check_resolved(addresses, target)
        else:
            warn(f"The name {target.host} cannot be resolved now; it is checked again when called.")
    except ValueError as fault:
        raise InvalidInput(f"the base URL cannot be used: {fault}") from None
    if target.scheme == "http" and not allow_private:
        warn("http shows the provider's key to everybody on the way: use https where the provider has it.")
    return url


def _resolve(host: str, port: int) -> list[str]:
    """The addresses of a name; none when it has none or nobody can be asked."""
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def check_models(models: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(public name or pattern, name upstream) of each ``PUBLIC[=UPSTREAM]``; raises ``InvalidInput``."""
    found: dict[str, str] = {}
    for text in models:
        public, given, upstream = text.partition("=")
        name = fields.check_pattern(public)
        if given and (not upstream.strip() or "*" in upstream):
            raise InvalidInput(f"{text[:80]!r}: after = stands the one name that the provider knows")
        if name in found:
            raise InvalidInput(f"the model {name!r} is given twice")
        found[name] = fields.check_pattern(upstream) if given else name
    if len(found) > fields.PATTERNS_MAX:
        raise InvalidInput(f"too many models: at most {fields.PATTERNS_MAX}")
    return tuple(found.items())


def model_texts(channel: Channel) -> list[str]:
    """The models of a channel as ``check_models`` reads them."""
    return [public if public == upstream else f"{public}={upstream}" for public, upstream in channel.models]


def _check_secret(secret: str, *, may_be_empty: bool) -> str:
    """The provider's key as a header can carry it. Servers of one's own may ask for none."""
    bare = secret.strip()
    if not bare and not may_be_empty:
        raise InvalidInput("the secret is empty: give the provider's key")
    if len(bare) > SECRET_LENGTH_MAX or any(not "!" <= character <= "~" for character in bare):
        raise InvalidInput(
            "the secret holds a space, a line break or a character that no provider's key has, or is too long"
        )
    return bare


def find(store: AdministrationStore, wanted: str) -> Channel:
    """The channel of that name or id."""
    text = wanted.strip()
    for channel in store.list_channels():
        if text in {channel.name, channel.id}:
            return channel
    raise NotFound(f"there is no channel {text[:80]!r}; ruapi channels list shows them all")


def pause(store: AdministrationStore, channel: Channel) -> Channel:
    """Send nothing through a channel until it is resumed."""
    return _save(store, msgspec.structs.replace(_current(store, channel), status="paused"))


def resume(store: AdministrationStore, channel: Channel) -> Channel:
    """Use a paused channel again."""
    return _save(store, msgspec.structs.replace(_current(store, channel), status="active"))


def remove(store: AdministrationStore, channel: Channel) -> None:
    """Forget a channel and its secret. Log rows keep its name."""
    wait_for_servers(store, store.remove_channel(channel.id))


def _save(store: AdministrationStore, channel: Channel) -> Channel:
    wait_for_servers(store, store.save_channel(channel))
    return channel


def unseal_secret(sealer: Sealer, channel: Channel) -> str:
    """The provider's key, for whoever speaks to the provider now. Raises ``Unavailable``."""
    return sealer.unseal(channel.secret_sealed, table=TABLE, row=channel.id, column=SECRET_COLUMN).decode()


# --- a test with a real request -------------------------------------------------------------------


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What a tiny request through a channel brought. ``message`` is for people and holds no secret."""

    ok: bool
    model: str
    status: int | None  # of the provider's answer; None when there was none
    total_ms: int
    message: str


# Sends the smallest request that the channel's dialect knows: (channel, its secret, the name upstream).
Prober = Callable[[Channel, str, str], Probe]


def test(sealer: Sealer, channel: Channel, *, model: str | None, prober: Prober) -> Probe:
    """Send a tiny real request, which the provider may charge for, also through a paused channel.

    Without a model the channel's first one is asked that is no pattern.
    """
    return prober(channel, unseal_secret(sealer, channel), _name_upstream(channel, model))


def _name_upstream(channel: Channel, model: str | None) -> str:
    if model is not None:
        return dict(channel.models).get(model, model)
    for _, upstream in channel.models:
        if "*" not in upstream:
            return upstream
    raise InvalidInput(f"the channel {channel.name!r} names no single model: say which one to ask")


def describe(channel: Channel) -> dict[str, Any]:
    """The JSON row of a channel. Its secret is write-only."""
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "base_url": channel.base_url,
        "status": channel.status,
        "priority": channel.priority,
        "weight": channel.weight,
        "allow_private_address": channel.allow_private_address,
        "models": [{"public": public, "upstream": upstream} for public, upstream in channel.models],
        "created_at": format_instant(channel.created_at),
    }
