"""Hostile URLs and addresses, by the class of attack. No test looks a name up anywhere."""

# ruff: noqa: RUF001, S104 - a table of hostile spellings

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.upstream import Target, check_address, check_url, split_url


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A table in the place of DNS; address literals stand for themselves."""
    table: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        try:
            addresses = [str(ip_address(host))]
        except ValueError:
            if host not in table:
                raise socket.gaierror(socket.EAI_NONAME, "unknown") from None
            addresses = table[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


GOOD = {
    "https://api.openai.com/v1": (Target("https", "api.openai.com", 443), "/v1"),
    "https://api.openai.com/v1/": (Target("https", "api.openai.com", 443), "/v1"),
    "https://API.OpenAI.com": (Target("https", "api.openai.com", 443), ""),
    "https://openrouter.ai:8443/api/v1": (Target("https", "openrouter.ai", 8443), "/api/v1"),
    "http://8.8.8.8/": (Target("http", "8.8.8.8", 80), ""),
    "https://[2606:4700:0::1111]/v1": (Target("https", "2606:4700::1111", 443), "/v1"),
    "http://my_model:11434/v1": (Target("http", "my_model", 11434), "/v1"),
    "https://xn--bcher-kva.example/v1": (Target("https", "xn--bcher-kva.example", 443), "/v1"),
    "https://h.example/openai/deployments/gpt-4o:v1/@x,y": (
        Target("https", "h.example", 443),
        "/openai/deployments/gpt-4o:v1/@x,y",
    ),
}


@pytest.mark.parametrize(("url", "expected"), GOOD.items())
def test_a_plain_url_is_split(url, expected):
    assert split_url(url) == expected


def test_the_authority_names_a_port_only_when_it_is_unusual():
    assert split_url("https://h.example/")[0].authority == "h.example"
    assert split_url("https://h.example:443/")[0].authority == "h.example"
    assert split_url("http://h.example:443/")[0].authority == "h.example:443"
    assert split_url("https://[2606:4700::1111]:8443")[0].authority == "[2606:4700::1111]:8443"


HOSTILE_URLS = [
    # not a URL that is called
    "", "api.openai.com", "//api.openai.com", "ftp://h.example", "file:///etc/passwd", "gopher://h.example",
    "HTTPS//h.example", "https:h.example", "https:///v1", "https://", "https://:443/", "javascript:alert(1)",
    # whose host differs by reader
    "https://user@h.example/", "https://user:pass@h.example/", "https://h.example:80@127.0.0.1/",
    "https://h.example\\@127.0.0.1/", "https://h.example\\.evil.example/", "https://127.0.0.1#@h.example/",
    "https://h.example?@127.0.0.1/", "https://h.example#.evil.example", "https://h.example /", " https://h.example",
    "https://h.example\t/", "https://h.example\r\nX: y/", "https://h.example\n", "https://h.exa\0mple/",
    "https://h.example%2eevil.example/", "https://h%00.example/", "https://[::ffff:8.8.8.8]:x/", "https://[::1",
    "https://[fe80::1%25eth0]/", "https://[2606:4700::1111]evil.example/", "https://h.example:443:443/",
    # ports
    "https://h.example:0/", "https://h.example:65536/", "https://h.example:-1/", "https://h.example:4 43/",
    "https://h.example:/", "https://h.example:000443/", "https://h.example:443abc/",
    # numbers that C libraries take for 127.0.0.1
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/",
    "http://127.1/", "http://127.0.1/", "http://127.0.0.01/", "http://127.0.0.0x1/", "http://127.0.0.1./",
    "http://0/", "http://00/", "http://127.0.0.1.1/", "http://127.0.0.256/", "http://1.1.1.1.h.0x7f/",
    # names
    "http://h.example./", "http://.h.example/", "http://h..example/", "http://-h.example/", "http://h-.example/",
    "http://" + "a" * 64 + ".example/", "http://" + "a." * 130 + "example/", "https://h.example/" + "a" * 3_000,
    "http://*.example/", "http://h,example/", "http://h!example/",
    # letters that IDNA turns into others
    "http://１２７.0.0.1/", "http://127。0。0。1/", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://exaﬀmple.example/", "http://bücher.example/",
    "http://h.exam\u00adple/", "http://h.example\u2024evil/",
    # metadata by name
    "http://metadata.google.internal/computeMetadata/v1", "http://METADATA.google.internal/", "http://metadata/",
    # query, fragment and paths that climb
    "https://h.example/v1?api-version=1", "https://h.example/v1#x", "https://h.example/../admin",
    "https://h.example/v1/..", "https://h.example/./v1", "https://h.example//v1", "https://h.example/%2e%2e/admin",
    "https://h.example/v1\\..", "https://h.example/v 1", "https://h.example/ü",
]  # fmt: skip


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused_without_looking_it_up(url, allow_private, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises(ValueError, match=r"\.$"):
        check_url(url, allow_private=allow_private)


PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111",
          "2a00:1450:4001:80b::200e"]  # fmt: skip
PRIVATE = ["127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
           "100.127.255.255", "::1", "fc00::1", "fd12:3456::1"]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.1.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    # metadata
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    # IPv6, and IPv4 hidden in it
    "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254", "::127.0.0.1", "::7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::1",
    "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "100::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:7f00:1", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address):
    check_address(address, allow_private=False)
    check_address(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_allowed_where_an_operator_says_so(address):
    with pytest.raises(ValueError, match="private"):
        check_address(address, allow_private=False)
    check_address(address, allow_private=True)


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_allowed(address, allow_private):
    with pytest.raises(ValueError, match="never called"):
        check_address(address, allow_private=allow_private)


@given(st.ip_addresses())
def test_what_is_allowed_is_globally_routed(address):
    try:
        check_address(address, allow_private=False)
    except ValueError:
        return
    assert address.is_global
    assert not address.is_multicast


@pytest.mark.usefixtures("names")
def test_an_address_in_a_url_is_judged():
    for address in PRIVATE:
        url = f"http://[{address}]:1/" if ":" in address else f"http://{address}:1/"
        with pytest.raises(ValueError, match="private"):
            check_url(url, allow_private=False)
        check_url(url, allow_private=True)
    for address in NEVER:
        with pytest.raises(ValueError, match=r"\.$"):
            check_url(f"http://[{address}]/" if ":" in address else f"http://{address}/", allow_private=True)


def test_every_address_of_a_name_is_judged(names):
    names["good.example"] = ["1.1.1.1", "2606:4700::1111"]
    names["mixed.example"] = ["1.1.1.1", "10.0.0.1"]
    names["localtest.example"] = ["127.0.0.1"]
    names["rebinding.example"] = ["1.1.1.1", "169.254.169.254"]
    names["nowhere.example"] = []
    check_url("https://good.example/v1", allow_private=False)
    for name in ("mixed", "localtest"):
        with pytest.raises(ValueError, match="private"):
            check_url(f"https://{name}.example/", allow_private=False)
        check_url(f"https://{name}.example/", allow_private=True)
    with pytest.raises(ValueError, match="metadata"):
        check_url("https://rebinding.example/", allow_private=True)
    with pytest.raises(ValueError, match="no address"):
        check_url("https://nowhere.example/", allow_private=True)


@pytest.mark.usefixtures("names")
def test_a_name_that_cannot_be_resolved_is_refused():
    with pytest.raises(ValueError, match="cannot be resolved"):
        check_url("https://absent.example/", allow_private=True)
