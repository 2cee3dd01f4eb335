"""Where the gateway may connect to. A channel's URL is an order to connect somewhere: do not take it blindly.

Whoever may add a channel could otherwise make the gateway read the cloud's metadata service or the
network behind it. Three rules:

1. A URL is read strictly, so that no two readers can differ about its host: no user info, no numbers that
   C libraries take for addresses (``2130706433``, ``0x7f.1``, ``127.1``), no trailing dot, ASCII only.
2. Names prove nothing. What counts are the addresses that a name leads to, **all** of them, looked at when
   the URL is saved *and* on every connection, which is then made to the very address that was looked at.
   A name that changes its mind in between (DNS rebinding) gains nothing.
3. Addresses are allowed by list: what is globally routed, and, where an operator allows it for a channel
   (a model on the local network), loopback and the private ranges. Link-local and metadata addresses stay
   refused even then, and so do forms that carry an IPv4 address inside (mapped, 6to4, NAT64, Teredo, ISATAP).

Plain ``http`` is permitted: it is what local models speak. Who uses it across the internet shows the
provider's key to everybody on the way; the console says so.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, cast

from ruapi.upstream.interface import Target

URL_LENGTH_MAX = 2_048
_HOST_LENGTH_MAX = 253  # what DNS can carry
_PORT_MAX = 65_535

Address = IPv4Address | IPv6Address

# Allowed only where private addresses are.
_PRIVATE = tuple(
    IPv4Network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
) + tuple(IPv6Network(text) for text in ("::1/128", "fc00::/7"))

# Services that hand the machine's own credentials to whoever asks. Never allowed; some are in private or
# even in public ranges.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # Amazon ECS
        "169.254.170.23",  # Amazon EKS
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # Amazon
        "fd00:ec2::23",  # Amazon EKS
        "fd20:ce::254",  # Google
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})

_NEVER_V4 = tuple(
    (IPv4Network(text), why)
    for text, why in (
        ("0.0.0.0/8", "means this machine"),
        ("169.254.0.0/16", "is link-local"),
        ("192.0.0.0/24", "is reserved"),
        ("192.0.2.0/24", "is for documentation"),
        ("192.88.99.0/24", "is a 6to4 relay"),
        ("198.18.0.0/15", "is for measurements"),
        ("198.51.100.0/24", "is for documentation"),
        ("203.0.113.0/24", "is for documentation"),
        ("224.0.0.0/4", "is multicast"),
        ("240.0.0.0/4", "is reserved"),
    )
)
_NEVER_V6 = tuple(
    (IPv6Network(text), why)
    for text, why in (
        ("2001::/23", "is reserved (Teredo among others)"),
        ("2001:db8::/32", "is for documentation"),
        ("2002::/16", "carries an IPv4 address (6to4)"),
        ("3fff::/20", "is for documentation"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")  # mapped, NAT64, link-local, multicast and the like lie outside
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?")
_PARTS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_url(url: str, *, allow_private: bool) -> None:
    """Refuse a channel's URL that must not be called. Raises ``ValueError`` with a sentence for people.

    Resolves the name, so it blocks for as long as the system's resolver does.
    """
    target, _ = split_url(url, allow_private=allow_private)
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ValueError(f"The name {target.host} cannot be resolved.") from None
    check_resolved([str(entry[4][0]) for entry in found], target)


def split_url(url: str, *, allow_private: bool = False) -> tuple[Target, str]:
    """Read ``https://api.example.com/v1/`` as (target, ``/v1``); raises ``ValueError``. Resolves nothing."""
    if len(url) > URL_LENGTH_MAX:
        raise ValueError(f"The URL is longer than {URL_LENGTH_MAX} characters.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("The URL may hold printable ASCII only; write an international name as xn--...")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("The URL must not hold a user name or password.")
    if "?" in url or "#" in url:
        raise ValueError("The URL must not hold a query (?) or a fragment (#).")
    match = _PARTS.fullmatch(url)
    if match is None:
        raise ValueError("Write the URL as https://host/path or http://host:port/path.")
    scheme = cast("Literal['http', 'https']", match["scheme"])
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= _PORT_MAX:
        raise ValueError("The port must be between 1 and 65535.")
    host = _check_host(match["host"].lower(), allow_private=allow_private)
    path = match["path"] or ""
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError("The path may hold plain segments only: no empty ones, no '..', no percent signs.")
    return Target(scheme, host, port, allow_private), path.rstrip("/")


def _check_host(host: str, *, allow_private: bool) -> str:
    """Give the host in its one spelling; an address literal is judged here already."""
    if host.startswith("["):
        try:
            address: Address = IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError(f"{host} is no IPv6 address.") from None
        check_address(address, allow_private=allow_private)
        return str(address)
    if host.endswith("."):
        raise ValueError("The host must not end in a dot.")
    labels = host.split(".")
    if len(host) > _HOST_LENGTH_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("The host is no valid name.")
    # A name that ends in a number is an address to some readers and a name to others.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            address = IPv4Address(host)
        except ValueError:
            raise ValueError(f"{host} is a number in disguise: write an IPv4 address as 192.0.2.1.") from None
        check_address(address, allow_private=allow_private)
        return str(address)
    if host in _METADATA_NAMES:
        raise ValueError(f"{host} is a metadata service, which is never called.")
    return host


def check_resolved(addresses: list[str], target: Target) -> None:
    """Check all addresses that a name led to; one bad one spoils them all. Raises ``ValueError``."""
    if not addresses:
        raise ValueError(f"The name {target.host} leads to no address.")
    for address in addresses:
        check_address(address, allow_private=target.allow_private)


def check_address(address: str | Address, *, allow_private: bool) -> None:
    """Refuse an address that must not be connected to. Raises ``ValueError`` with a sentence for people."""
    if isinstance(address, str):
        if "%" in address:
            raise ValueError(f"{address} is bound to one interface and is never called.")
        address = ip_address(address)
    if address in _METADATA:
        raise ValueError(f"{address} is a metadata service, which is never called.")
    if any(address in network for network in _PRIVATE if network.version == address.version):
        if allow_private:
            return
        raise ValueError(f"{address} is private; allow private addresses for this channel to use it.")
    why = _why_never(address)
    if why:
        raise ValueError(f"{address} {why} and is never called.")


def _why_never(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((why for network, why in _NEVER_V4 if address in network), None)
    if address not in _GLOBAL_V6:
        return "is not a globally routed IPv6 address"
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return "carries an IPv4 address (ISATAP)"
    return next((why for network, why in _NEVER_V6 if address in network), None)
