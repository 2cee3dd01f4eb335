"""Every recorded exchange, played end to end over real sockets: through one gateway, in every client dialect.

What a caller is told is compared with the recording by readers that share nothing with the gateway. The calls
are all made once, by the first test that asks; each test then judges its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import anthropic
import openai
import pytest

from tests.dialects.comparing import (
    differences,
    form_faults,
    forwarded_differences,
    translated_differences,
    verbatim_differences,
)
from tests.dialects.conversing import GO_ON, next_request, returned_differences
from tests.dialects.playing import OPENAI, SECRET, Play, Played, Stage, public_model, replay_of, simple_request
from tests.dialects.recordings import (
    CHAT,
    CLIENTS,
    GEMINI,
    GENERATIONS,
    MESSAGES,
    RESPONSES,
    Recording,
    all_calls,
    recordings,
    spoilt,
    stop_for,
)
from tests.dialects.replaying_provider import KEY_HEADER

COUNTS = "anthropic-count-tokens"
CUTS = 40
SPOILT = ((0.3, False), (0.9, False), (0.5, True))
SINGLE_BYTES_MAX = 3_000  # streams up to this size are also played byte by byte


# --- what is played -------------------------------------------------------------------------------


@cache
def generations() -> list[Recording]:
    return recordings(*GENERATIONS)


def is_good(recording: Recording) -> bool:
    """Whether it is an answer that came to a good end."""
    return recording.status == 200 and not recording.is_cut and recording.meaning.error is None


@cache
def simple_plays() -> list[Play]:
    """Each recording for each client, streamed as it was; an error both ways."""
    return [
        Play(recording, client, stream)
        for recording in generations()
        for client in CLIENTS
        for stream in ([recording.is_stream] if recording.status == 200 else [False, True])
    ]


@cache
def cut_plays() -> list[Play]:
    """Each stream for each client, in pieces that begin and end anywhere, and all in one."""
    found = []
    for recording in generations():
        if not recording.is_stream:
            continue
        size = len(recording.wire)
        chosen = random.Random(recording.id).sample(range(1, size), min(CUTS, size - 1))
        cuts = range(1, size) if size <= SINGLE_BYTES_MAX else sorted(chosen)
        found += [Play(recording, client, stream=True, cuts=cuts, name="cut") for client in CLIENTS]
        found += [Play(recording, client, stream=True, cuts=[size], name="at once") for client in CLIENTS]
    return found


@cache
def spoilt_plays() -> list[Play]:
    """Each good stream for each client, broken off early and late, and ended by an error in its middle."""
    found = []
    for recording in generations():
        if recording.is_stream and is_good(recording):
            broken = [spoilt(recording, share, error=error) for share, error in SPOILT]
            found += [
                Play(changed, client, stream=True) for changed in broken if changed is not None for client in CLIENTS
            ]
    return found


@cache
def asked_plays() -> list[Play]:
    """Each recorded request of a client dialect, to its own provider and to one of each other dialect."""
    stock: dict[tuple[str, bool], Recording] = {}
    for recording in generations():
        if is_good(recording):
            stock.setdefault((recording.dialect, recording.is_stream), recording)
    found = []
    for recording in generations():
        if recording.dialect not in CLIENTS or not recording.request["recorded"]:
            continue
        stream = bool(recording.request["body"].get("stream"))
        if recording.status != 200 or stream == recording.is_stream:
            found.append(Play(recording, recording.dialect, stream, request=recording))
        found += [
            Play(stock[dialect, stream], recording.dialect, stream, request=recording)
            for dialect in GENERATIONS
            if dialect != recording.dialect and (dialect, stream) in stock
        ]
    return found


@cache
def openai_plays() -> list[Play]:
    """OpenAI's recordings through a channel of its own kind, which speaks the caller's dialect where it can."""
    clients = {CHAT: (CHAT, MESSAGES), RESPONSES: (RESPONSES,)}
    return [
        Play(recording, client, recording.is_stream, via=OPENAI)
        for recording in generations()
        for client in clients.get(recording.dialect, ())
        if recording.provider == "openai"
    ]


@cache
def embedding_plays() -> list[Play]:
    return [
        Play(recording, OPENAI, stream=False, request=recording)
        for recording in recordings(OPENAI)
        if recording.request["path"].endswith("/embeddings") and "input" in recording.request["body"]
    ]


def parameters(plays: list[Play]) -> list[object]:
    return [pytest.param(play, id=play.id) for play in plays]


# --- the stage ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Performance:
    """The open stage, and what came of every play."""

    stage: Stage
    played: dict[str, Played]
    second_turns: dict[str, Played]
    """What came of sending each good answer back, by the id of its play."""


@pytest.fixture(scope="module")
def performance(shared, tmp_path_factory) -> Iterator[Performance]:  # noqa: ARG001 - skips without recordings
    with Stage(tmp_path_factory.mktemp("played") / "home").open() as stage:
        played = stage.play_all(
            [
                *simple_plays(),
                *cut_plays(),
                *spoilt_plays(),
                *asked_plays(),
                *openai_plays(),
                *embedding_plays(),
            ]
        )
        yield Performance(stage, played, play_second_turns(stage, played))


def play_second_turns(stage: Stage, played: dict[str, Played]) -> dict[str, Played]:
    stock: dict[str, Recording] = {}
    for recording in generations():
        if is_good(recording) and not recording.is_stream:
            stock.setdefault(recording.dialect, recording)
    plays = {
        play.id: Play(
            stock[play.recording.dialect],
            play.client,
            stream=False,
            body=next_request(played[play.id]),
            name=f"after {play.id}",
        )
        for play in simple_plays()
        if is_good(play.recording) and not any(differences(played[play.id]))
    }
    done = stage.play_all(list(plays.values()))
    return {first: done[play.id] for first, play in plays.items()}


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("play", parameters(simple_plays()))
def test_an_answer_means_what_was_recorded(performance, play):
    played = performance.played[play.id]
    assert list(differences(played)) == []
    assert list(form_faults(played)) == []


@pytest.mark.parametrize("play", parameters(cut_plays()))
def test_a_stream_means_the_same_however_it_is_cut(performance, play):
    played = performance.played[play.id]
    assert list(differences(played)) == []
    assert list(form_faults(played)) == []


@pytest.mark.parametrize("play", parameters(spoilt_plays()))
def test_a_stream_that_breaks_off_ends_with_an_error_after_what_came(performance, play):
    played = performance.played[play.id]
    assert list(differences(played)) == []
    assert list(form_faults(played)) == []


@pytest.mark.parametrize("play", parameters(openai_plays()))
def test_a_channel_of_openai_answers_in_either_dialect(performance, play):
    played = performance.played[play.id]
    assert list(differences(played)) == []
    assert list(form_faults(played)) == []


@pytest.mark.parametrize("play", parameters([play for play in simple_plays() if play.client == play.recording.dialect]))
def test_an_answer_in_the_callers_own_dialect_is_the_providers_own(performance, play):
    assert list(verbatim_differences(performance.played[play.id])) == []


@pytest.mark.parametrize("play", parameters([play for play in simple_plays() if is_good(play.recording)]))
def test_an_answer_can_be_sent_back(performance, play):
    """Calls, texts and every signature reach the provider again as it gave them."""
    if any(differences(performance.played[play.id])):
        pytest.fail("the answer itself was wrong already")
    assert list(returned_differences(performance.played[play.id], performance.second_turns[play.id])) == []


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("play", parameters([play for play in asked_plays() if play.request is play.recording]))
def test_a_recorded_request_is_forwarded_as_it_is(performance, play):
    played = performance.played[play.id]
    assert list(forwarded_differences(played)) == []
    assert list(differences(played)) == []


@pytest.mark.parametrize("play", parameters([play for play in asked_plays() if play.request is not play.recording]))
def test_a_recorded_request_reaches_another_dialect(performance, play):
    played = performance.played[play.id]
    assert list(translated_differences(played)) == []
    assert list(differences(played)) == []
    assert list(form_faults(played)) == []


@pytest.mark.parametrize("play", parameters(embedding_plays()))
def test_embeddings_pass(performance, play):
    played, recording = performance.played[play.id], play.recording
    assert list(forwarded_differences(played)) == []
    assert played.status == recording.status
    assert played.body == recording.wire
    usage = recording.response["body"].get("usage") or {}
    assert (played.row["input_tokens"] or 0) == (usage.get("prompt_tokens") or 0)


@pytest.mark.parametrize("recording", [pytest.param(recording, id=recording.id) for recording in recordings(COUNTS)])
def test_tokens_are_counted_by_the_provider(performance, recording):
    stage = performance.stage
    stage.provider.stage(None, replay_of(recording))
    body = {**recording.request["body"], "model": public_model(MESSAGES)}
    answer = stage.gateway.post("/v1/messages/count_tokens?beta=true", body, key=stage.key.secret)
    assert answer.status == 200
    if recording.status == 200:
        assert answer.json == recording.response["body"]
        assert answer.headers["x-ruapi-counted-by"] == "provider"
    else:
        assert answer.json["input_tokens"] > 0
        assert answer.headers["x-ruapi-counted-by"] == "gateway"


# --- the official clients -------------------------------------------------------------------------


@cache
def sampled() -> list[Play]:
    """Of the good translated streams one for each set of features and client."""
    found: dict[object, Play] = {}
    for play in simple_plays():
        recording = play.recording
        if recording.is_stream and is_good(recording) and play.client != recording.dialect:
            found.setdefault((recording.dialect, recording.provider, recording.features, play.client), play)
    return [play for play in found.values() if sdk_rebuilds(play)]


def sdk_rebuilds(play: Play) -> bool:
    """Whether the SDK's accumulator takes such streams at all.

    OpenAI's raises when an answer was filtered or cut short at its limit, and knows calls of functions only.
    """
    stops = {stop_for(play.client, play.recording.dialect, choice) for choice in play.recording.meaning.choices}
    if play.client == MESSAGES:
        return True
    known = play.client == RESPONSES or not any(call.custom for call in all_calls(play.recording.meaning))
    return known and not stops & {"content_filter", "length", "max_output_tokens"}


@pytest.mark.parametrize("play", parameters([play for play in sampled() if play.client == CHAT]))
def test_the_openai_sdk_rebuilds_a_chat_stream(performance, play):
    stage, body = performance.stage, simple_request(play)
    for name in ("stream", "stream_options"):
        body.pop(name)
    client = openai_client(stage, play)
    with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    for index, wanted in enumerate(play.recording.meaning.choices):
        choice = next(choice for choice in final.choices if choice.index == index)
        assert (choice.message.content or "") == wanted.text
        calls = choice.message.tool_calls or []
        assert [call.function.name for call in calls] == [call.name for call in wanted.calls]
        assert choice.finish_reason == stop_for(CHAT, play.recording.dialect, wanted)


@pytest.mark.parametrize("play", parameters([play for play in sampled() if play.client == RESPONSES]))
def test_the_openai_sdk_rebuilds_a_stream_of_responses(performance, play):
    stage, body = performance.stage, simple_request(play)
    body.pop("stream")
    with openai_client(stage, play).responses.stream(**body) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    (wanted,) = play.recording.meaning.choices[:1]
    assert final.output_text == wanted.text
    calls = [item for item in final.output if item.type in {"function_call", "custom_tool_call"}]
    assert [getattr(call, "name", None) for call in calls] == [call.name for call in wanted.calls]


@pytest.mark.parametrize("play", parameters([play for play in sampled() if play.client == MESSAGES]))
def test_the_anthropic_sdk_rebuilds_a_stream_of_messages(performance, play):
    stage, body = performance.stage, simple_request(play)
    body.pop("stream")
    stage.provider.stage(play.id, replay_of(play.recording))
    client = anthropic.Anthropic(
        api_key=stage.key.secret,
        base_url=stage.gateway.base_url,
        max_retries=0,
        default_headers={KEY_HEADER: play.id},
    )
    with client, client.messages.stream(**body) as stream:
        final = stream.get_final_message()
    (wanted,) = play.recording.meaning.choices[:1]
    assert "".join(block.text for block in final.content if block.type == "text") == wanted.text
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [call.name for call in calls] == [call.name for call in wanted.calls]
    assert final.stop_reason == stop_for(MESSAGES, play.recording.dialect, wanted)


def openai_client(stage: Stage, play: Play) -> openai.OpenAI:
    stage.provider.stage(play.id, replay_of(play.recording))
    return openai.OpenAI(
        api_key=stage.key.secret,
        base_url=f"{stage.gateway.base_url}/v1",
        max_retries=0,
        default_headers={KEY_HEADER: play.id},
    )


# --- afterwards -----------------------------------------------------------------------------------


def test_the_gateway_never_fails_of_itself(performance):
    everything = [*performance.played.values(), *performance.second_turns.values()]
    assert [played.play.id for played in everything if b'"internal_error"' in played.body] == []
    assert "Traceback" not in performance.stage.gateway.stderr


PATHS_UPSTREAM = {
    CHAT: ("/v1/chat/completions",),
    RESPONSES: ("/v1/responses",),
    MESSAGES: ("/v1/messages",),
    GEMINI: (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ),
    OPENAI: ("/v1/embeddings",),
}


def test_every_request_went_where_it_should_with_the_channels_credentials_alone(performance):
    for played in performance.played.values():
        arrived = played.arrived
        assert arrived is not None, played.play.id
        paths = PATHS_UPSTREAM[played.play.recording.dialect]
        assert arrived.target == paths[played.play.stream and len(paths) > 1], played.play.id
        told = [value for value in arrived.headers.values() if SECRET in value]
        assert len(told) == 1, played.play.id
        assert performance.stage.key.secret not in str(arrived), played.play.id


def test_the_header_names_the_losses_of_the_log(performance):
    for played in performance.played.values():
        if not played.is_stream and played.status == 200:
            told = [name for name in played.headers.get("x-ruapi-losses", "").split(",") if name]
            assert told == played.row["losses"], played.play.id


def test_every_question_of_the_second_turn_arrived(performance):
    lost = [
        name
        for name, played in performance.second_turns.items()
        if played.arrived is None or GO_ON not in played.arrived.body.decode()
    ]
    assert lost == []


def test_the_books_balance(performance):
    assert performance.stage.gateway.run("ledger", "verify").returncode == 0
