"""What is wrong with a text that is no key, said in public."""

from __future__ import annotations

import timeit

import pytest

from ruapi.credentials.api_key import (
    KEY_LENGTH,
    MANAGEMENT_KEY,
    MODEL_KEY,
    PREFIX,
    KeyMistake,
    ParsedKey,
    checksum,
    digest,
    generate,
    parse,
    redact,
)

KEY_ID, KEY = generate()


def test_a_key_has_the_promised_form():
    assert KEY.startswith("sk-ruapi_")
    assert len(KEY) == 9 + 10 + 32 + 6
    assert len(KEY) == KEY_LENGTH
    assert KEY[9:19] == KEY_ID.removeprefix("key_")
    assert KEY[-6:] == checksum(KEY[:-6])
    assert parse(KEY) == ParsedKey(KEY_ID)


def test_the_checksum_is_crc32_in_base62():
    # CRC-32 of "123456789" is 0xCBF43926 by every table of it, and that is 3,421,780,262.
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for character in checksum("123456789"):
        number = number * 62 + alphabet.index(character)
    assert number == 0xCBF43926


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("", "empty", "empty"),
        ("  \n", "empty", "empty"),
        ("sk-ant-api03-abcdef", "foreign", "an Anthropic key"),
        ("sk-proj-abcdef", "foreign", "an OpenAI key"),
        ("sk-or-v1-abcdef", "foreign", "an OpenRouter key"),
        ("AIzaSyabcdef", "foreign", "a Google key"),
        ("gsk_abcdef", "foreign", "a Groq key"),
        ("sk-abcdef", "foreign", "another service's key"),
        ("letmein", "prefix", "start with sk-ruapi_"),
        (KEY.replace("sk-ruapi", "SK-RUAPI"), "prefix", "small letters"),
        (f" {KEY}", "stray_character", "a space"),
        (f"{KEY}\n", "stray_character", "a line break"),
        (f"{KEY[:20]}\r\n{KEY[20:]}", "stray_character", "a line break"),
        (f'"{KEY}"', "stray_character", "a quotation mark"),
        (f"\u201c{KEY}\u201d", "stray_character", "a quotation mark"),
        (f"\u201c{KEY}\u201d".encode().decode("latin-1"), "stray_character", "a quotation mark"),
        (f"{KEY}\u200b", "stray_character", "a space"),
        (f"Bearer {KEY}", "stray_character", "twice"),
        ("sk-ruapi_…9fQ2", "redacted", "shortened form"),
        ("sk-ruapi_…9fQ2".encode().decode("latin-1"), "redacted", "shortened form"),
        ("$RUAPI_KEY", "placeholder", "placeholder"),
        ("undefined", "placeholder", "placeholder"),
        ("<your key>", "placeholder", "placeholder"),
        (KEY[:30] + "é" + KEY[31:], "not_ascii", "Character 31"),
        (KEY[:-3], "length", f"has {KEY_LENGTH - 3} characters"),
        (KEY + "abc", "length", "joined"),
        ("x" * 5000, "length", "far too long"),
        (KEY[:25] + "-" + KEY[26:], "character", "Character 26"),
        (KEY[:-1] + ("a" if KEY[-1] != "a" else "b"), "checksum", "checksum"),
    ],
    # The texts hold a random key, and every worker has to find the same names.
    ids=lambda value: "text" if len(str(value)) > 30 else None,
)
def test_a_mistake_is_named(text, reason, words):
    mistake = parse(text)
    assert isinstance(mistake, KeyMistake)
    assert mistake.reason == reason
    assert words in mistake.message
    assert KEY[19:25] not in mistake.message


def test_a_redacted_key_shows_four_characters():
    assert redact("9fQ2") == "sk-ruapi_…9fQ2"
    assert redact("9fQ2").startswith(PREFIX)


def test_parsing_and_digesting_takes_a_few_microseconds():
    """Generous, for a busy machine; the target is 4 us."""
    pepper = bytes(32)

    def look_at_key() -> None:
        parse(KEY)
        digest(pepper, KEY)

    assert min(timeit.repeat(look_at_key, number=2_000, repeat=7)) / 2_000 < 20e-6


def test_a_management_key_has_the_same_form_and_another_name():
    key_id, text = generate(kind=MANAGEMENT_KEY)
    assert text.startswith("mk-ruapi_")
    assert key_id.startswith("mgk_")
    assert parse(text, MANAGEMENT_KEY) == ParsedKey(key_id)


def test_a_key_of_the_other_kind_is_told_what_it_is():
    _, model_key = generate()
    _, management_key = generate(kind=MANAGEMENT_KEY)
    for text, kind, sentence in (
        (model_key, MANAGEMENT_KEY, "calls models, and it cannot manage"),
        (management_key, MODEL_KEY, "management key, and it cannot call models"),
    ):
        mistake = parse(text, kind)
        assert isinstance(mistake, KeyMistake)
        assert mistake.reason == "other_kind"
        assert sentence in mistake.message
        assert text[9:] not in mistake.message
