"""Losses have stable names, honest severities and a bounded list."""

from __future__ import annotations

import re

import pytest

from ruapi.canon.losses import CATALOGUE, LOSSES_MAX, LossRecorder, loss, unsupported_field


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_name_fits_a_header_and_has_a_sentence(name: str):
    severity, sentence = CATALOGUE[name]
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert severity in {"harmless", "meaning"}
    assert re.fullmatch(r"[A-Z].*\.", sentence)
    assert loss(name).sentence == sentence


def test_a_name_out_of_nowhere_is_a_mistake():
    with pytest.raises(KeyError):
        loss("no_such_loss")


def test_unknown_fields_may_matter_and_known_labels_do_not():
    assert unsupported_field("store").severity == "harmless"
    assert unsupported_field("safetySettings").severity == "meaning"
    assert unsupported_field("safetySettings", severity="harmless").severity == "harmless"
    assert unsupported_field("safetySettings").name == "field.safetysettings"


def test_a_callers_field_name_cannot_break_a_header():
    found = unsupported_field("a b\r\nset-cookie: \xe9" + "x" * 1000, detail="y" * 1000)
    assert re.fullmatch(r"[a-z0-9_.]{1,70}", found.name)
    assert len(found.detail or "") == 200


def test_each_name_is_recorded_once_in_the_order_of_its_first_occurrence():
    recorder = LossRecorder()
    recorder.add("seed", where="seed", detail=7)
    recorder.add("top_k")
    recorder.add("seed", where="elsewhere")
    assert [(found.name, found.where, found.detail) for found in recorder.found] == [
        ("seed", "seed", "7"),
        ("top_k", None, None),
    ]


def test_the_list_is_bounded_and_says_so():
    recorder = LossRecorder()
    for number in range(1000):
        recorder.note(unsupported_field(f"f{number}", severity="harmless"))
    assert len(recorder.found) == LOSSES_MAX + 1
    assert recorder.found[-1].name == "more_losses"
    assert recorder.found[-1].severity == "meaning"
