import pytest

from ruapi.policy.model_access import allows
from ruapi.policy.origin import check_address, check_browser, client_address


@pytest.mark.parametrize(
    ("ranges", "address", "allowed"),
    [
        ((), "203.0.113.9", True),
        (("203.0.113.0/24",), "203.0.113.9", True),
        (("203.0.113.0/24",), "203.0.114.9", False),
        (("203.0.113.9",), "203.0.113.9", True),
        (("203.0.113.0/24",), "::ffff:203.0.113.9", True),
        (("2001:db8::/32",), "2001:db8::1%eth0", True),
        (("2001:db8::/32",), "203.0.113.9", False),
        (("203.0.113.0/24",), "not an address", False),
    ],
)
def test_addresses(ranges: tuple[str, ...], address: str, *, allowed: bool) -> None:
    assert (check_address(ranges, address) is None) is allowed


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "seen"),
    [
        ("203.0.113.9", b"198.51.100.7", (), "203.0.113.9"),
        ("203.0.113.9", b"198.51.100.7", ("10.0.0.0/8",), "203.0.113.9"),
        ("10.0.0.1", b"198.51.100.7", ("10.0.0.0/8",), "198.51.100.7"),
        ("10.0.0.1", b"192.0.2.66, 198.51.100.7, 10.0.0.2", ("10.0.0.0/8",), "198.51.100.7"),
        ("10.0.0.1", b"192.0.2.66, junk", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", ("10.0.0.0/8",), "10.0.0.3"),
        ("10.0.0.1", b"198.51.100.7:5555", ("10.0.0.0/8",), "198.51.100.7"),
        ("10.0.0.1", b"192.0.2.66, 198.51.100.7:5555 ,10.0.0.2:80", ("10.0.0.0/8",), "198.51.100.7"),
        ("10.0.0.1", b"[2001:db8::7]:5555", ("10.0.0.0/8",), "2001:db8::7"),
        ("10.0.0.1", b"2001:db8::9, [2001:db8::7]", ("10.0.0.0/8",), "2001:db8::7"),
        ("10.0.0.1", b"2001:db8::7", ("10.0.0.0/8",), "2001:db8::7"),
        ("fd00::1", b"[2001:db8::7]:1, [fd00::2]:65535", ("fd00::/8",), "2001:db8::7"),
        ("10.0.0.1", b"198.51.100.7:", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.7:http", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", b"[junk]:5555", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", b"[]", ("10.0.0.0/8",), "10.0.0.1"),
    ],
)
def test_what_callers_wrote_proves_nothing(peer: str, forwarded: bytes, trusted: tuple[str, ...], seen: str) -> None:
    assert client_address(peer, forwarded, trusted) == seen


def test_browsers() -> None:
    assert check_browser(browser_use=False, origin=b"null", fetch_site=None) is not None
    assert check_browser(browser_use=True, origin=b"https://x.example", fetch_site=b"cross-site") is None
    assert check_browser(browser_use=False, origin=None, fetch_site=None) is None


@pytest.mark.parametrize(
    ("models", "model", "allowed"),
    [
        ((), "anything", True),
        (("gpt-5*",), "gpt-5-mini", True),
        (("gpt-5*",), "gpt-4o", False),
        (("gpt-5",), "gpt-5-mini", False),
        (("*sonnet*", "o3"), "claude-sonnet-4-5", True),
        (("a.c",), "abc", False),
        (("*",), "line\nbreak", True),
    ],
)
def test_model_lists(models: tuple[str, ...], model: str, *, allowed: bool) -> None:
    assert allows(models, model) is allowed
