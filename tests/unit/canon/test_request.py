"""Turns, names of tools, and levels of effort."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon.parts import Base64Data, Image, Text, ToolCall
from ruapi.canon.request import (
    BUDGET_TOKENS,
    CustomTool,
    Effort,
    FunctionTool,
    Request,
    ToolNames,
    ToolReference,
    Turn,
    arguments_object,
    budget_of,
    calls_by_id,
    custom_as_arguments,
    custom_as_function,
    custom_from_arguments,
    effort_of,
    merge_adjacent,
    nearest_effort,
    portable_call_id,
    split_instructions,
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]))


def asked(*turns: Turn, tools: tuple[FunctionTool | CustomTool, ...] = ()) -> Request:
    return Request(model="m", dialect="openai_chat", turns=turns, tools=tools)


def said(role, *words: str) -> Turn:
    return Turn(role=role, parts=tuple(Text(text=word) for word in words))


def test_a_request_survives_json():
    request = asked(said("user", "Hi"), tools=(FunctionTool(name="look", schema={"type": "object"}),))
    assert msgspec.json.decode(msgspec.json.encode(request), type=Request) == request


def test_leading_instructions_are_split_off_and_later_ones_stay():
    first, second, hi, late = (
        said("system", "A"),
        said("developer", "B", "C"),
        said("user"),
        said("system", "D"),
    )
    texts, rest = split_instructions((first, second, hi, late))
    assert [text.text for text in texts] == ["A", "B", "C"]
    assert rest == (hi, late)
    assert split_instructions((first,))[1] == ()


def test_instructions_that_are_not_text_stay_among_the_turns():
    picture = Turn(role="system", parts=(Image(source=Base64Data(media_type="image/png", data="")),))
    texts, rest = split_instructions((said("system", "A"), picture, said("user")))
    assert [text.text for text in texts] == ["A"]
    assert rest[0] == picture


def test_neighbours_of_one_role_are_merged():
    merged = merge_adjacent([said("user", "A"), said("user", "B"), said("assistant", "C"), said("user", "D")])
    assert merged == (said("user", "A", "B"), said("assistant", "C"), said("user", "D"))


def test_calls_are_found_by_id():
    call = ToolCall(id="call_1", name="look")
    assert calls_by_id([said("user"), Turn(role="assistant", parts=(call,))]) == {"call_1": call}


# --- names ----------------------------------------------------------------------------------------


def test_ordinary_names_stay_as_they_are():
    names = ToolNames(asked(tools=(FunctionTool(name="look-up_2"),)))
    assert names.wire_name("look-up_2") == "look-up_2"
    assert not names.renamed


def test_namespaces_are_flattened_and_restored():
    tools = (FunctionTool(name="find", namespace="crm"), CustomTool(name="find", namespace="mail"))
    names = ToolNames(asked(tools=tools))
    assert names.wire_name("find", "crm") == "crm__find"
    assert names.renamed
    assert names.restore("crm__find") == ToolReference(name="find", namespace="crm")
    assert names.restore("mail__find") == ToolReference(name="find", namespace="mail", kind="custom")


def test_a_name_that_nobody_declared_means_itself():
    assert ToolNames().restore("made_up") == ToolReference(name="made_up")


def test_a_flat_name_in_the_way_is_left_to_its_owner_whatever_the_order():
    flat, nested = FunctionTool(name="a__b"), FunctionTool(name="b", namespace="a")
    for tools in ((flat, nested), (nested, flat)):
        names = ToolNames(asked(tools=tools))
        assert names.wire_name("a__b") == "a__b"
        assert names.restore(names.wire_name("b", "a")) == ToolReference(name="b", namespace="a")


@given(st.lists(st.tuples(st.none() | WORDS, WORDS.filter(bool)), unique=True), st.integers(30, 128))
def test_any_names_become_legal_and_come_back(named: list[tuple[str | None, str]], length_max: int):
    tools = tuple(FunctionTool(name=name, namespace=namespace) for namespace, name in named)
    names = ToolNames(asked(tools=tools), length_max=length_max)
    wires = [names.wire_name(name, namespace) for namespace, name in named]
    assert len(set(wires)) == len(wires)
    for (namespace, name), wire in zip(named, wires, strict=True):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", wire)
        assert len(wire) <= length_max
        assert names.restore(wire) == ToolReference(name=name, namespace=namespace)
    assert wires == [ToolNames(asked(tools=tools), length_max=length_max).wire_name(n, ns) for ns, n in named]


@given(st.text())
def test_call_ids_become_legal_and_stay_so(call_id: str):
    portable = portable_call_id(call_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", portable)
    assert portable_call_id(portable) == portable


def test_ordinary_call_ids_stay_as_they_are():
    assert portable_call_id("toolu_01FupCqh9WiFLKTeXddq4ZXH") == "toolu_01FupCqh9WiFLKTeXddq4ZXH"


# --- free-text tools ------------------------------------------------------------------------------


@given(WORDS)
def test_free_text_comes_back_out_of_arguments(text: str):
    assert custom_from_arguments(custom_as_arguments(text)) == text


@pytest.mark.parametrize("arguments", ["plain words", "[1]", '{"input": 1}', '{"other": "x"}'])
def test_arguments_of_another_shape_are_the_free_text(arguments: str):
    assert custom_from_arguments(arguments) == arguments


def test_a_grammar_is_described_where_it_cannot_be_enforced():
    tool = CustomTool(name="patch", description="Edits.", syntax="lark", grammar="start: WORD")
    stand_in = custom_as_function(tool)
    assert stand_in.description == "Edits.\n\nThe input must match this lark grammar:\nstart: WORD"
    assert stand_in.schema is not None
    assert stand_in.schema["required"] == ["input"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", {}),
        ("", {}),
        (" ", {}),
        ('{"a": 1}', {"a": 1}),
        ("[]", None),
        ("{", None),
        ("[" * 100_000, None),
    ],
)
def test_arguments_are_an_object_or_not(text: str, found: dict[str, int] | None):
    assert arguments_object(text) == found


# --- reasoning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("effort", BUDGET_TOKENS)
def test_effort_and_budget_are_inverse_where_all_levels_are_known(effort: Effort):
    assert effort_of(budget_of(effort), accepted=tuple(BUDGET_TOKENS)) == effort


@pytest.mark.parametrize(
    ("budget_tokens", "effort"),
    [(1, "low"), (4_096, "low"), (4_097, "medium"), (16_384, "high"), (10**6, "high")],
)
def test_a_budget_is_rounded_up_to_a_level(budget_tokens: int, effort: Effort):
    assert effort_of(budget_tokens) == effort


def test_an_unknown_level_is_rounded_down():
    assert nearest_effort("max", ("low", "high")) == "high"
    assert nearest_effort("medium", ("low", "high")) == "low"
    assert nearest_effort("minimal", ("high", "low")) == "low"
