"""The operator's choices: checked, kept, and none where nothing was chosen."""

from __future__ import annotations

import pytest

from ruapi.administration import instance
from ruapi.administration.instance import Instance, check_base_url
from ruapi.errors import InvalidInput

NOW = 1_795_000_000_000


def test_choices_are_kept(store):
    assert instance.load(store) == Instance()
    chosen = instance.save(store, Instance(base_url="https://AI.example.com:443/", name=" Our AI "), now=NOW)
    assert chosen == instance.load(store) == Instance(base_url="https://ai.example.com", name="Our AI")
    assert instance.save(store, Instance(), now=NOW) == instance.load(store) == Instance()


def test_a_value_of_another_release_counts_as_never_chosen(store):
    store.save_settings({"low_balance_nano": '"much"', "name": "[", "unknown": "1"}, now=NOW)
    assert instance.load(store) == Instance()


@pytest.mark.parametrize(
    ("text", "url"),
    [("https://ai.example.com", "https://ai.example.com"), (" http://localhost:8080/ ", "http://localhost:8080"),
     ("http://192.0.2.1:80", "http://192.0.2.1"), ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443")],
)  # fmt: skip
def test_an_address_is_scheme_host_and_port(text, url):
    assert check_base_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "ai.example.com", "ftp://ai.example.com", "https://", "https://ai.example.com/path", "https://a?b", "https://a#b",
     "https://u:p@ai.example.com", "https://ai.example.com:x", "https://ai.example.com:99999", "javascript:alert(1)",
     "https://a b", "https://-a.example", "https://a..b", "https://ai.example.com?", "https://<b>", "x" * 400],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidInput):
        check_base_url(text)


def test_choices_that_make_no_sense_are_refused(store):
    for chosen in (Instance(sign_up="open"), Instance(low_balance_nano=-1), Instance(name=""), Instance(name="a\nb")):
        with pytest.raises(InvalidInput):
            instance.save(store, chosen, now=NOW)
