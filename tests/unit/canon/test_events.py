"""Interleaved parts are put in order, and only what must wait waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    MessageStarted,
    MessageStopped,
    PartSequencer,
    PartStarted,
    PartStopped,
    SequencingOverflow,
    Stop,
    TextAdded,
)
from ruapi.canon.parts import Text, ToolCall
from ruapi.canon.response import fold


def call(number: int) -> ToolCall:
    return ToolCall(id=f"call_{number}", name="look", arguments="")


def test_parts_in_order_pass_at_once():
    sequencer = PartSequencer()
    assert sequencer.start("text", Text(text="")) == [PartStarted(index=0, part=Text(text=""))]
    assert sequencer.add("text", TextAdded, text="Hi") == [TextAdded(index=0, text="Hi")]
    assert sequencer.stop("text") == [PartStopped(index=0)]
    assert sequencer.start("text", Text(text="")) == [PartStarted(index=1, part=Text(text=""))]
    assert sequencer.open_keys == ("text",)


def test_a_later_part_waits_for_the_earlier_one():
    sequencer = PartSequencer(choice=2)
    sequencer.start(0, call(0))
    assert sequencer.start(1, call(1)) == []
    assert sequencer.add(1, ArgumentsAdded, text="{}") == []
    assert sequencer.add(0, ArgumentsAdded, text="{}") == [ArgumentsAdded(index=0, text="{}", choice=2)]
    assert sequencer.stop(1) == []
    assert sequencer.stop(0) == [
        PartStopped(index=0, choice=2),
        PartStarted(index=1, part=call(1), choice=2),
        ArgumentsAdded(index=1, text="{}", choice=2),
        PartStopped(index=1, choice=2),
    ]


def test_a_part_that_moved_up_goes_on_without_waiting():
    sequencer = PartSequencer()
    sequencer.start(0, call(0))
    sequencer.start(1, call(1))
    assert sequencer.stop(0) == [PartStopped(index=0), PartStarted(index=1, part=call(1))]
    assert sequencer.add(1, ArgumentsAdded, text="{}") == [ArgumentsAdded(index=1, text="{}")]
    assert sequencer.stop_all() == [PartStopped(index=1)]


def test_what_waits_is_bounded():
    sequencer = PartSequencer(waiting_characters_max=1_000)
    sequencer.start(0, call(0))
    sequencer.start(1, call(1))
    with pytest.raises(SequencingOverflow):
        sequencer.add(1, ArgumentsAdded, text="x" * 1_000)
    empty = PartSequencer(waiting_characters_max=1_000)
    for number in range(16):
        empty.start(number, call(number))
    with pytest.raises(SequencingOverflow):
        empty.start(16, call(16))


def test_room_is_given_back_when_a_part_moves_up():
    sequencer = PartSequencer(waiting_characters_max=1_000)
    for number in range(100):
        sequencer.start(number, call(number))
        sequencer.add(number, ArgumentsAdded, text="x" * 300)
        if number:
            sequencer.stop(number - 1)
    assert sequencer.stop_all() == [PartStopped(index=99)]


def test_a_key_is_open_once():
    sequencer = PartSequencer()
    sequencer.start(0, call(0))
    assert sequencer.is_open(0)
    with pytest.raises(ValueError, match="open already"):
        sequencer.start(0, call(0))


@given(st.lists(st.tuples(st.sampled_from(["start", "add", "stop"]), st.integers(0, 4), st.text(max_size=3))))
def test_however_parts_interleave_each_comes_out_whole(acts: list[tuple[str, int, str]]):
    sequencer, expected = PartSequencer(), list[str]()
    events: list[AnyEvent] = [MessageStarted()]
    position: dict[int, int] = {}
    for act, key, text in acts:
        if act == "start" and not sequencer.is_open(key):
            position[key] = len(expected)
            expected.append("")
            events += sequencer.start(key, Text(text=""))
        elif act == "add" and sequencer.is_open(key):
            expected[position[key]] += text
            events += sequencer.add(key, TextAdded, text=text)
        elif act == "stop" and sequencer.is_open(key):
            events += sequencer.stop(key)
    events += [*sequencer.stop_all(), ChoiceStopped(stop=Stop(reason="end_turn")), MessageStopped()]
    assert fold(events).choices[0].parts == tuple(Text(text=text) for text in expected)
