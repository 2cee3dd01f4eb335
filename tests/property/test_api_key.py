"""API keys: what is generated parses, every slip is found, and no sentence repeats what was sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ruapi.credentials.api_key import (
    ALPHABET,
    KEY_LENGTH,
    PREFIX,
    KeyMistake,
    ParsedKey,
    checksum,
    digest,
    generate,
    parse,
)

base62 = st.sampled_from(ALPHABET)
keys = st.text(base62, min_size=42, max_size=42).map(lambda body: PREFIX + body + checksum(PREFIX + body))


@given(keys)
def test_every_key_parses_to_its_id(key):
    assert parse(key) == ParsedKey("key_" + key[9:19])


@given(st.none() | st.just("key_0123456789"))
def test_what_is_generated_parses_and_is_never_the_same(known_id):
    (first_id, first), (_, second) = generate(known_id), generate(known_id)
    assert parse(first) == ParsedKey(first_id)
    assert known_id in {None, first_id}
    assert first != second
    assert len(first) == KEY_LENGTH


@given(keys, st.integers(0, KEY_LENGTH - 1), base62)
def test_a_wrong_character_is_always_found(key, position, character):
    changed = key[:position] + character + key[position + 1 :]
    assert changed == key or isinstance(parse(changed), KeyMistake)


@given(keys, st.integers(len(PREFIX), KEY_LENGTH - 2))
def test_two_characters_that_changed_places_are_always_found(key, position):
    swapped = key[:position] + key[position + 1] + key[position] + key[position + 2 :]
    assert swapped == key or isinstance(parse(swapped), KeyMistake)


@given(keys, st.integers(0, KEY_LENGTH - 1))
def test_a_lost_character_is_always_found(key, position):
    assert isinstance(parse(key[:position] + key[position + 1 :]), KeyMistake)


@given(st.text(max_size=80) | st.text(max_size=60).map(lambda rest: PREFIX + rest))
def test_any_text_gets_an_answer(text):
    assert isinstance(parse(text), ParsedKey | KeyMistake)


@given(
    keys,
    st.sampled_from(
        ("sk-ant-{}", "sk-{}", "AIza{}", " {}", "{}\n", '"{}"', "Bearer {}", "{}…", "{}x", "{}\u200b", "<{}>")
    ),
)
def test_no_sentence_repeats_any_part_of_the_secret(key, form):
    for text in (form.format(key), form.format(key[9:]), form.format(key[:-1])):
        mistake = parse(text)
        assert isinstance(mistake, KeyMistake)
        secret = key[9:]
        assert not any(secret[start : start + 5] in mistake.message for start in range(len(secret) - 4))


@given(keys, st.binary(min_size=32, max_size=32))
def test_a_digest_depends_on_key_and_pepper(key, pepper):
    assert len(digest(pepper, key)) == 32
    assert digest(pepper, key) == digest(pepper, key)
    assert digest(pepper, key) != digest(pepper[::-1] + b"x", key)
