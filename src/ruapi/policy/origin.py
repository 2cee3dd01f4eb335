"""Where a key may be used from: its address list, and never a web page unless its owner allowed that."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ruapi.errors import AddressNotAllowed, BrowserNotAllowed, Problem

Network = IPv4Network | IPv6Network


@lru_cache(maxsize=4096)
def networks(ranges: tuple[str, ...]) -> tuple[Network, ...]:
    """The ranges (CIDR or single addresses), parsed once."""
    return tuple(ip_network(text, strict=False) for text in ranges)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """An address with IPv4-mapped IPv6 undone, so that a dual-stack socket changes nothing."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


_WITH_PORT = re.compile(r"(?:\[([^\]]+)\]|([0-9.]+))(?::[0-9]{1,5})?")


def _without_port(entry: str) -> str:
    """The address of ``192.0.2.1:443``, ``[2001:db8::1]:443`` or ``[2001:db8::1]``; any other text as it is."""
    found = _WITH_PORT.fullmatch(entry)
    return entry if found is None else found[1] or found[2]


def is_within(address: str, ranges: tuple[str, ...]) -> bool:
    """Whether the address lies in one of the ranges; an unreadable address lies in none."""
    try:
        parsed = _plain(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks(ranges))


def check_address(allowed_ips: tuple[str, ...], address: str) -> Problem | None:
    """Refuse a caller outside the key's list; an empty list is anywhere."""
    if not allowed_ips or is_within(address, allowed_ips):
        return None
    return AddressNotAllowed(f"This key may not be used from the address {address}.")


def check_browser(*, browser_use: bool, origin: bytes | None, fetch_site: bytes | None) -> Problem | None:
    """Refuse a secret key that arrives from a web page.

    Browsers add ``Origin`` (an http or https one) and ``Sec-Fetch-Site``; a person's own navigation says
    ``none``. Node's fetch sends ``Sec-Fetch-Mode`` alone, and desktop programs an ``Origin`` of another
    scheme: neither is a web page.
    """
    if browser_use:
        return None
    from_page = origin is not None and origin.lower().startswith((b"http://", b"https://", b"null"))
    if from_page or (fetch_site is not None and fetch_site != b"none"):
        return BrowserNotAllowed(
            "This key arrived from a web page, where anyone can read it. Call from a backend, or allow browser "
            "use on the key if it is meant to be public. Consider the key leaked: rotate it."
        )
    return None


def client_address(peer: str, forwarded_for: bytes | None, trusted_proxies: tuple[str, ...]) -> str:
    """Who called: the peer, or behind trusted proxies the last address in the chain that is no proxy.

    Addresses further left were written by the caller and prove nothing.
    """
    if forwarded_for is None or not trusted_proxies or not is_within(peer, trusted_proxies):
        return peer
    address = peer
    for entry in reversed(forwarded_for.decode("latin-1").split(",")):
        candidate = _without_port(entry.strip())
        try:
            _plain(candidate)
        except ValueError:
            return address
        address = candidate
        if not is_within(candidate, trusted_proxies):
            return address
    return address
