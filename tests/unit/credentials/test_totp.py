"""Authenticator apps: the codes of RFC 6238, a little patience with clocks, a picture without styles."""

from __future__ import annotations

import pytest

from ruapi.credentials import totp

SECRET = b"12345678901234567890"  # of RFC 6238, appendix B


@pytest.mark.parametrize(
    ("second", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_codes_are_those_of_the_standard(second, code):
    assert totp.code_at(SECRET, second * 1000) == code
    assert totp.matching_step(SECRET, code, second * 1000) == second // 30


def test_a_code_fits_one_step_early_and_one_step_late():
    code = totp.code_at(SECRET, 900_000)
    assert [totp.matching_step(SECRET, code, 900_000 + offset * 30_000) for offset in (-2, -1, 0, 1, 2)] == [
        None, 30, 30, 30, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "code"),
    [("123456", "123456"), (" 123 456\n", "123456"), ("123-456", "123456"), ("12345", None), ("1234567", None),
     ("12345a", None), ("", None), ("\u0661\u0662\u0663\u0664\u0665\u0666", None)],
)  # fmt: skip
def test_what_people_type_is_read_as_they_mean_it(typed, code):
    assert totp.as_code(typed) == code


def test_an_app_is_told_everything_by_the_picture():
    uri = totp.provisioning_uri(SECRET, email="ann@example.com", issuer="ai: gateway")
    assert uri.startswith("otpauth://totp/ai")
    assert "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" in uri
    assert "ann%40example.com" in uri
    assert totp.secret_text(SECRET) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"


def test_a_strict_policy_shows_the_picture():
    drawn = totp.qr_svg(totp.provisioning_uri(totp.new_secret(), email="ann@example.com", issuer="ruapi"))
    assert drawn.startswith("<svg ")
    assert not any(word in drawn for word in ("style", "script", "href", "<!"))
