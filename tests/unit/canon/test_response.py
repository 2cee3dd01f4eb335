"""The fold of events: both ways, and the grammar that it holds."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.canon.events import (
    AnyEvent,
    ArgumentsAdded,
    ChoiceStopped,
    ErrorReport,
    LossNoted,
    MessageStarted,
    MessageStopped,
    PartStarted,
    PartStopped,
    Pinged,
    ReasoningAdded,
    ReasoningSigned,
    Stop,
    StreamFailed,
    TextAdded,
    UsageReported,
)
from ruapi.canon.losses import loss
from ruapi.canon.parts import (
    Base64Data,
    BuiltinCall,
    BuiltinResult,
    Citation,
    Image,
    Origin,
    Reasoning,
    Refusal,
    SearchHit,
    Signature,
    Text,
    TokenLogprob,
    ToolCall,
    Unknown,
)
from ruapi.canon.response import AnswerTooLarge, Choice, OutOfOrder, Response, ResponseFolder, fold, unfold
from ruapi.canon.usage import Usage

CLAUDE = Origin(dialect="anthropic_messages", issuer="anthropic")
SIGNATURE = Signature(origin=CLAUDE, kind="signature", value="c2ln")
START, END = MessageStarted(), MessageStopped()
DONE = ChoiceStopped(stop=Stop(reason="end_turn"))
TEXT_0 = PartStarted(index=0, part=Text(text=""))

EVERYTHING = Response(
    id="msg_1",
    model="m",
    created_at_s=1_700_000_000,
    service_tier="standard",
    usage=Usage(input_tokens=1, output_tokens=2),
    losses=(loss("citations"),),
    choices=(
        Choice(
            parts=(
                Reasoning(text="Hm.", signature=SIGNATURE),
                Reasoning(signature=SIGNATURE),
                Text(
                    text="Yes.",
                    citations=(Citation(kind="url", url="https://example.com"),),
                    logprobs=(TokenLogprob(token="Yes", logprob=-0.1),),
                    phase="commentary",
                ),
                BuiltinCall(id="s1", tool="web_search", origin=CLAUDE, arguments='{"query":"x"}'),
                BuiltinResult(
                    call_id="s1",
                    tool="web_search",
                    origin=CLAUDE,
                    hits=(SearchHit(url="https://example.com"),),
                ),
                ToolCall(id="c1", name="look", namespace="crm", arguments='{"a":1}'),
                ToolCall(id="c2", name="look"),
                ToolCall(id="c3", name="patch", kind="custom", arguments=""),
                Image(source=Base64Data(media_type="image/png", data="AA==")),
                Refusal(text="No."),
                Unknown(origin=CLAUDE, native_type="container_upload", native={"type": "container_upload"}),
            ),
            stop=Stop(reason="tool_calls", native="tool_use"),
        ),
        Choice(parts=(Text(text="Second"),), stop=Stop(reason="max_tokens")),
    ),
)


def test_a_response_unfolds_and_folds_into_itself():
    assert fold(unfold(EVERYTHING)) == EVERYTHING


def test_a_failed_response_does_too():
    failed = Response(
        choices=(Choice(parts=(Text(text="Ye"),)),), error=ErrorReport(category="upstream", message="Gone.")
    )
    assert fold(unfold(failed)) == failed


def test_a_response_and_its_events_survive_json():
    assert msgspec.json.decode(msgspec.json.encode(EVERYTHING), type=Response) == EVERYTHING
    events = list(unfold(EVERYTHING))
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[AnyEvent]) == events


def test_a_stream_folds_as_a_script_reads():
    response = fold(
        [
            MessageStarted(id="msg_1", model="m", service_tier="auto"),
            UsageReported(usage=Usage(input_tokens=28, output_tokens=1)),
            Pinged(),
            PartStarted(index=0, part=Reasoning()),
            ReasoningAdded(index=0, text="H"),
            ReasoningAdded(index=0, text="m."),
            ReasoningSigned(index=0, signature=SIGNATURE),
            PartStopped(index=0),
            PartStarted(index=1, part=ToolCall(id="c1", name="look", arguments="")),
            ArgumentsAdded(index=1, text='{"a"'),
            UsageReported(usage=Usage(output_tokens=9), service_tier="priority"),
            ArgumentsAdded(index=1, text=":1}"),
            PartStopped(index=1),
            LossNoted(loss=loss("citations")),
            ChoiceStopped(stop=Stop(reason="tool_calls")),
            END,
        ]
    )
    assert response.choices == (
        Choice(
            parts=(
                Reasoning(text="Hm.", signature=SIGNATURE),
                ToolCall(id="c1", name="look", arguments='{"a":1}'),
            ),
            stop=Stop(reason="tool_calls"),
        ),
    )
    assert response.usage == Usage(input_tokens=28, output_tokens=9)
    assert response.service_tier == "priority"
    assert response.losses == (loss("citations"),)


def test_a_call_without_arguments_has_an_empty_object():
    head = ToolCall(id="c1", name="now", arguments="")
    response = fold([START, PartStarted(index=0, part=head), PartStopped(index=0), DONE, END])
    assert response.choices[0].parts == (ToolCall(id="c1", name="now", arguments="{}"),)


def test_an_empty_answer_is_one_choice_without_parts():
    assert fold([START, DONE, END]).choices == (Choice(stop=Stop(reason="end_turn")),)


def test_a_broken_stream_keeps_what_came():
    error = ErrorReport(category="overloaded", message="Later.", retryable=True)
    response = fold([START, TEXT_0, TextAdded(index=0, text="Ye"), StreamFailed(error=error)])
    assert response == Response(choices=(Choice(parts=(Text(text="Ye"),)),), error=error)


def test_a_stream_may_fail_before_it_starts():
    error = ErrorReport(category="overloaded", message="Later.")
    assert fold([Pinged(), StreamFailed(error=error)]).error == error


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([TEXT_0], id="no start"),
        pytest.param([START, START], id="two starts"),
        pytest.param([START, PartStarted(index=1, part=Text(text=""))], id="a number left out"),
        pytest.param([START, TEXT_0, PartStarted(index=1, part=Text(text=""))], id="overlap"),
        pytest.param([START, PartStarted(index=0, part=Text(text="Hi"))], id="a filled start"),
        pytest.param([START, PartStarted(index=0, part=ToolCall(id="c", name="n"))], id="arguments in start"),
        pytest.param([START, TextAdded(index=0, text="Hi")], id="no part"),
        pytest.param([START, TEXT_0, TextAdded(index=1, text="Hi")], id="wrong part"),
        pytest.param([START, TEXT_0, TextAdded(index=0, text="Hi", choice=1)], id="wrong choice"),
        pytest.param([START, TEXT_0, ReasoningAdded(index=0, text="Hi")], id="wrong kind"),
        pytest.param([START, TEXT_0, PartStopped(index=0), PartStopped(index=0)], id="stopped twice"),
        pytest.param([START, TEXT_0, DONE], id="choice stops with an open part"),
        pytest.param([START, DONE, DONE], id="choice stops twice"),
        pytest.param([START, DONE, TEXT_0], id="part after its choice"),
        pytest.param([START, TEXT_0, PartStopped(index=0), END], id="no stop reason"),
        pytest.param([START, DONE, END, Pinged()], id="after the end"),
        pytest.param([START, ChoiceStopped(stop=Stop(reason="end_turn"), choice=10**6)], id="absurd choice"),
        pytest.param(
            [
                START,
                PartStarted(index=0, part=Reasoning()),
                ReasoningSigned(index=0, signature=SIGNATURE),
                ReasoningSigned(index=0, signature=SIGNATURE),
            ],
            id="signed twice",
        ),
    ],
)
def test_a_sequence_that_breaks_the_grammar_is_found(events: list[AnyEvent]):
    with pytest.raises(OutOfOrder):
        fold(events)


def test_an_answer_is_bounded():
    folder = ResponseFolder(characters_max=10)
    folder.add(START)
    folder.add(TEXT_0)
    folder.add(TextAdded(index=0, text="x" * 10))
    with pytest.raises(AnswerTooLarge):
        folder.add(TextAdded(index=0, text="x"))
