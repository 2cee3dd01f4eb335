"""What a caller should have been answered, and in what it differs from what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from tests.dialects.playing import Played, json_of, public_model, strings_of, upstream_model
from tests.dialects.recordings import (
    CHAT,
    MESSAGES,
    READ_STREAM,
    READ_WHOLE,
    Call,
    Choice,
    Counts,
    Meaning,
    Recording,
    stop_for,
    stream_data,
)
from tests.dialects.wellformed import stream_faults, whole_faults

COST = "x-ruapi-cost-usd"


def differences(played: Played) -> Iterator[str]:
    """In what an answer differs from the recording that it stands for."""
    recording, client = played.play.recording, played.play.client
    if played.status == 418:
        yield f"nothing was staged for {played.arrived}"
        return
    if recording.status != 200:
        yield from error_differences(played)
        return
    expected = recording.meaning
    failed = expected.error is not None or not expected.ended or recording.is_cut
    if failed and not recording.is_stream:
        yield from error_differences(played)
        return
    if failed and played.status != 200:
        if any(choice.text or choice.calls for choice in expected.choices):
            yield f"status {played.status} although an answer had begun: {played.body[:200]!r}"
        yield from shape_differences(client, json_of(played.body))
        return
    if played.status != 200:
        yield f"status {played.status}: {played.body[:300]!r}"
        return
    try:
        got = read_answer(played)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as fault:
        yield f"the answer cannot be read: {fault!r}: {played.body[:300]!r}"
        return
    yield from failed_stream_differences(played, expected, got) if failed else ended_differences(played, expected, got)
    yield from content_differences(played, expected, got, partly=failed)


def form_faults(played: Played) -> Iterator[str]:
    """What is wrong with the form of a translated answer; in its own dialect it is the provider's."""
    client = played.play.client
    if client == played.play.recording.dialect or played.status != 200:
        return
    try:
        if played.is_stream:
            yield from stream_faults(client, played.body, usage=wants_usage(played))
        else:
            yield from whole_faults(client, played.body)
    except (KeyError, ValueError, TypeError, IndexError) as fault:
        yield f"the answer has no form: {fault!r}: {played.body[:300]!r}"


def verbatim_differences(played: Played) -> Iterator[str]:
    """In what an answer of the caller's own dialect is not what the provider sent, but for the cost."""
    recording = played.play.recording
    if not recording.is_stream or not played.is_stream:
        if recording.status == played.status == 200 and played.body != recording.wire:
            yield f"the answer is not the provider's own bytes: {apart(recording.wire.decode(), played.body.decode())}"
        return
    if recording.is_cut or not wants_usage(played):
        return
    wanted, got = (stream_data(wire) for wire in (recording.wire, played.body))
    if recording.meaning.error is not None:
        wanted, got = wanted[:-1], got[:-1]
    for number, (one, other) in enumerate(zip(wanted, got, strict=False)):
        if one != without_cost(other):
            yield f"event {number}: expected {str(one)[:150]}, got {str(other)[:150]}"
            return
    if len(wanted) != len(got):
        yield f"{len(wanted)} events were sent, {len(got)} arrived"


def without_cost(value: Any) -> Any:
    """The event as it was before the gateway told the cost in its usage."""
    if isinstance(value, dict):
        return {name: without_cost(inner) for name, inner in value.items() if name != COST}
    return value


def read_answer(played: Played) -> Meaning:
    """What the caller was told."""
    if played.is_stream:
        return READ_STREAM[played.play.client](stream_data(played.body))
    return READ_WHOLE[played.play.client](json.loads(played.body))


# --- content --------------------------------------------------------------------------------------


def content_differences(played: Played, expected: Meaning, got: Meaning, *, partly: bool) -> Iterator[str]:
    client, dialect = played.play.client, played.play.recording.dialect
    losses = set(played.row.get("losses", ()))
    choices = expected.choices
    if client != CHAT and len(choices) > 1:
        choices = choices[:1]
        if "answer_choices" not in losses:
            yield f"the loss of choices is not named: {losses}"
    if not choices:
        choices = [Choice()]
    if len(got.choices) > len(choices):
        yield f"choices: expected {len(choices)}, got {len(got.choices)}"
    for index, choice in enumerate(choices):
        mine = got.choice(index)
        yield from choice_differences(client, choice, mine, losses, partly=partly)
        if not partly:
            wanted = choice.stop if client == dialect else stop_for(client, dialect, choice)
            if wanted is not None and mine.stop != wanted:
                yield f"stop of {choice.stop!r}: expected {wanted!r}, got {mine.stop!r}"
            if client == MESSAGES and choice.stop_sequence != mine.stop_sequence:
                yield f"stop sequence: expected {choice.stop_sequence!r}, got {mine.stop_sequence!r}"


def choice_differences(client: str, wanted: Choice, got: Choice, losses: set[str], *, partly: bool) -> Iterator[str]:
    text, refusal = wanted.text, "".join(wanted.refusals)
    if client == MESSAGES:
        text, refusal = text + refusal, ""
    if got.text != text:
        yield f"text: {apart(text, got.text)}"
    if "".join(got.refusals) != refusal:
        yield f"refusal: {apart(refusal, ''.join(got.refusals))}"
    reasoning, told = (squeezed("".join(choice.reasoning)) for choice in (wanted, got))
    if reasoning != told:
        yield f"reasoning: {apart(reasoning, told)}"
    if wanted.signatures and not got.signatures and not partly:
        yield f"reasoning signatures: {wanted.signatures} recorded, none told; losses {sorted(losses)}"
    yield from call_differences(client, wanted.calls, got.calls, partly=partly)
    if wanted.builtins and not got.builtins and not losses and not partly:
        yield f"{wanted.builtins} uses of built-in tools are gone without a loss"
    if wanted.cited - got.cited and not losses:
        yield f"citations are gone without a loss: {sorted(wanted.cited - got.cited)}"


def call_differences(client: str, wanted: list[Call], got: list[Call], *, partly: bool) -> Iterator[str]:
    if [call.name for call in wanted] != [call.name for call in got]:
        yield f"calls: expected {[call.name for call in wanted]}, got {[call.name for call in got]}"
        return
    for one, other in zip(wanted, got, strict=True):
        if one.id and one.id != other.id:
            yield f"call id: expected {one.id!r}, got {other.id!r}"
        if not other.id:
            yield f"call {other.name} has no id"
        arguments: Any = one.arguments
        if one.custom and client == MESSAGES:
            # Free text becomes JSON once it is whole.
            arguments = {"input": one.text} if other.arguments or not partly else {}
        elif one.custom:
            arguments = one.text
            if not other.custom:
                yield f"call {one.name} is no custom call any more"
        found = other.text if other.custom else other.arguments
        if arguments != found and not (isinstance(arguments, str) and one.text == other.text):
            yield f"arguments of {one.name}: expected {arguments!r}, got {found!r}"
    ids = [call.id for call in got]
    if len(set(ids)) != len(ids):
        yield f"call ids are not unique: {ids}"


def squeezed(text: str) -> str:
    """Without white space, since paragraphs of reasoning are joined in one way or another."""
    return "".join(text.split())


def apart(wanted: str, got: str) -> str:
    """Two texts from where they part."""
    at = next((n for n, (one, other) in enumerate(zip(wanted, got, strict=False)) if one != other), None)
    if at is None:
        at = min(len(wanted), len(got))
    return f"at {at} of {len(wanted)}: expected {wanted[at : at + 60]!r}, got {got[at : at + 60]!r}"


# --- the end: usage, or a failure -----------------------------------------------------------------


def ended_differences(played: Played, expected: Meaning, got: Meaning) -> Iterator[str]:
    row, counts = played.row, expected.counts
    if got.error is not None:
        yield f"an error that was not recorded: {got.error}"
    if not got.ended:
        yield "the answer does not end"
    told = counts.input is not None and counts.output is not None
    if not row:
        yield "there is no row in the log"
        return
    if (row["usage_source"] == "provider") != told:
        yield f"usage source is {row['usage_source']}, though the provider told {counts}"
    logged = Counts(
        input=row["input_tokens"],
        cached=row["cached_input_tokens"],
        written=row["cache_write_tokens"],
        output=row["output_tokens"],
        reasoning=row["reasoning_tokens"],
    )
    same = played.play.client == played.play.recording.dialect
    if told:
        yield from counts_differences("the log", counts, logged)
    if not wants_usage(played):
        if got.counts != Counts() and not same:
            yield f"usage that was not asked for: {got.counts}"
    elif told or not same:
        yield from counts_differences("the answer", counts if told else logged, got.counts)
    if row["error_code"] is not None or row["status"] != 200:
        yield f"logged as {row['status']} {row['error_code']}"
    yield from cost_differences(played, got)


def counts_differences(where: str, wanted: Counts, got: Counts) -> Iterator[str]:
    for item in fields(Counts):
        one, other = getattr(wanted, item.name) or 0, getattr(got, item.name) or 0
        if one != other:
            yield f"usage in {where}: {item.name} expected {one}, got {other}"


def wants_usage(played: Played) -> bool:
    """Whether the answer tells usage: a stream of Chat does so on demand only."""
    if played.play.client != CHAT or not played.is_stream:
        return True
    return bool((json.loads(played.sent).get("stream_options") or {}).get("include_usage"))


def cost_differences(played: Played, got: Meaning) -> Iterator[str]:
    same = played.play.client == played.play.recording.dialect
    cost = got.cost_usd if played.is_stream else played.headers.get(COST)
    if played.is_stream and (not wants_usage(played) or (same and got.counts == Counts())):
        return
    if cost != played.row["cost_usd"]:
        yield f"cost: expected {played.row['cost_usd']}, got {cost}"


def failed_stream_differences(played: Played, expected: Meaning, got: Meaning) -> Iterator[str]:
    client, recording = played.play.client, played.play.recording
    if got.error is None:
        yield f"a stream that failed ends without an error: {played.body[-300:]!r}"
        return
    data = stream_data(played.body)
    last = data[-1]
    if client == CHAT:
        yield from shape_differences(client, last)
    elif client == MESSAGES:
        if last.get("type") != "error":
            yield f"the last event is no error: {last}"
        yield from shape_differences(client, last)
    elif isinstance(last, str) or last.get("type") not in {"response.failed", "error"}:
        yield f"the last event is no failure: {last}"
    elif not (last.get("response", {}).get("error") or last).get("message"):
        yield f"the failure has no message: {last}"
    message = (expected.error or {}).get("message")
    if message and message not in json.dumps(last, ensure_ascii=False) and message not in played.body.decode():
        wanted = json.dumps(message)[1:-1]
        if wanted not in played.body.decode():
            yield f"the provider's words are gone: {message!r} not in {json.dumps(last)[:300]}"
    if not played.row:
        yield "there is no row in the log"
        return
    if not played.row["error_code"]:
        yield f"the log knows of no error: {recording.id}"
    if any(choice.text for choice in got.choices) and not played.row["output_tokens"]:
        yield "text was delivered, and no output is logged"


# --- errors ---------------------------------------------------------------------------------------

_MESSAGES_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def word_differences(client: str, status: int, recorded: str, error: dict[str, Any]) -> Iterator[str]:
    """Whether a translated error has the words by which clients of the dialect tell errors apart."""
    if client == MESSAGES:
        kind = _MESSAGES_TYPES.get(status)
        if kind is not None and error.get("type") != kind:
            yield f"error type: expected {kind}, got {error.get('type')}"
        return
    too_long = "maximum context length" in recorded or "prompt is too long" in recorded
    code = {404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
    if too_long:
        code = "context_length_exceeded"
    if code is not None and error.get("code") != code:
        yield f"error code: expected {code}, got {error.get('code')}"
    if "param" not in error:
        yield f"an error of OpenAI has a param: {error}"


def expected_statuses(recording: Recording) -> set[int]:
    """The statuses that a caller may be answered for a recorded error."""
    if recording.status == 200:
        return {400, 502, 503, 529}
    text = recording.wire.decode()
    if "API_KEY_INVALID" in text:
        return {401}
    if not text.lstrip().startswith("{"):
        return {502}
    words = recording.wire.decode()
    if '"model_not_found"' in words:
        return {404, recording.status}
    return {
        402: {502},
        503: {503, 529},
        529: {503, 529},
        504: {504},
        500: {500, 502},
    }.get(recording.status, {recording.status})


def error_differences(played: Played) -> Iterator[str]:
    recording, client = played.play.recording, played.play.client
    same = client == recording.dialect
    wanted = expected_statuses(recording)
    if played.status not in wanted:
        yield f"status of {recording.status}: expected {sorted(wanted)}, got {played.status}"
    body = json_of(played.body)
    yield from shape_differences(client, body)
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        return
    error = body["error"]
    if error.get("code") == "internal_error":
        yield f"the gateway's own fault: {error}"
    original = json_of(recording.wire)
    said = (original.get("error") or {}).get("message") if isinstance(original, dict) else None
    if said and played.status not in {401, 502} and said != error.get("message"):
        yield f"message: expected {said!r}, got {error.get('message')!r}"
    if not same:
        yield from word_differences(client, played.status, recording.wire.decode(), error)
    wait = recording.headers.get("retry-after")
    if wait and wait.isdecimal() and played.headers.get("retry-after") != wait:
        yield f"retry-after: expected {wait}, got {played.headers.get('retry-after')}"
    if not played.row:
        yield "there is no row in the log"
    elif played.row["cost_usd"] not in {"0", "0.00"} or played.row["status"] != played.status:
        yield f"logged as {played.row['status']} for {played.row['cost_usd']}, answered {played.status}"


def shape_differences(client: str, body: Any) -> Iterator[str]:
    """Whether an error has the client dialect's own shape."""
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        yield f"no error of the dialect: {body!r}"
        return
    error = body["error"]
    if not isinstance(error.get("message"), str) or not error["message"]:
        yield f"an error without a message: {error}"
    if client == MESSAGES:
        if body.get("type") != "error" or not isinstance(error.get("type"), str):
            yield f"not Anthropic's shape: {body}"
    elif "type" in body or not isinstance(error.get("type", ""), str):
        yield f"not OpenAI's shape: {body}"


# --- requests -------------------------------------------------------------------------------------


def forwarded_differences(played: Played) -> Iterator[str]:
    """In what a request that stayed in its dialect differs from what the caller sent."""
    arrived, play = played.arrived, played.play
    if arrived is None:
        yield f"nothing arrived: {played.status} {played.body[:300]!r}"
        return
    wanted = json.loads(played.sent)
    wanted["model"] = upstream_model(play.recording.dialect)
    adds_usage = play.client == CHAT and play.stream and not (wanted.get("stream_options") or {}).get("include_usage")
    if adds_usage:
        wanted["stream_options"] = {**(wanted.get("stream_options") or {}), "include_usage": True}
    if arrived.json != wanted:
        names = {name for name in wanted.keys() | arrived.json.keys() if wanted.get(name) != arrived.json.get(name)}
        yield f"the request differs in {sorted(names)}"
    if not adds_usage:
        public, upstream = (
            json.dumps(name(play.recording.dialect)).encode() for name in (public_model, upstream_model)
        )
        if arrived.body.replace(upstream, public, 1) != played.sent:
            yield "the request is not the caller's own bytes"


def translated_differences(played: Played) -> Iterator[str]:
    """What a request has lost without a word on its way into another dialect."""
    arrived = played.arrived
    if arrived is None:
        yield f"nothing arrived: {played.status} {played.body[:300]!r}"
        return
    body, sent = arrived.json, json.loads(played.sent)
    told = "\n".join(strings_of(body))
    losses = played.row.get("losses", ())
    for words in _words_of(sent):
        if words.strip() and words not in told:
            yield f"words are gone: {words[:80]!r}; losses {losses}"
    for name in _tool_names(sent):
        if name not in told:
            yield f"tool {name!r} is gone; losses {losses}"
    for data in _data_of(sent):
        if data not in told and not losses:
            yield f"media is gone without a loss: {data[:40]}"
    if not isinstance(body.get("tools", []), list):
        yield "tools are no list"


def _words_of(body: dict[str, Any]) -> Iterator[str]:
    """What was said in a request, by anyone but the model's thoughts."""
    for name in ("system", "instructions"):
        yield from _said(body.get(name))
    turns = body.get("messages", body.get("input"))
    if isinstance(turns, str):
        yield turns
        return
    for turn in turns or ():
        if turn.get("type") != "reasoning":
            yield from _said(turn.get("content"))
            yield from _said(turn.get("output"))


def _said(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part.get("text"), str):
            yield part["text"]
        yield from _said(part.get("content"))


def _tool_names(body: dict[str, Any]) -> Iterator[str]:
    for tool in body.get("tools") or ():
        name = tool.get("name") or (tool.get("function") or {}).get("name")
        if name and ("input_schema" in tool or tool.get("type") in {"function", "custom"}):
            yield name


def _data_of(value: Any) -> Iterator[str]:
    """Bytes that travel in a request."""
    for text in strings_of(value):
        if text.startswith("data:") and ";base64," in text:
            yield text.partition(";base64,")[2]
        elif len(text) > 2_000 and " " not in text:
            yield text
