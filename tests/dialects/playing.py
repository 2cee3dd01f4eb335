"""Plays recordings through one gateway process and keeps what came of each."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dialects.recordings import CHAT, GEMINI, MESSAGES, RESPONSES, Meaning, Object, Recording, cuts_of
from tests.dialects.replaying_provider import KEY_HEADER, Arrived, Replay, ReplayingProvider
from tests.gateway_process import CreatedKey, GatewayProcess

SECRET = "sk-upstream-0123"
OPENAI = "openai-embeddings"
"""The channel of OpenAI's own kind, which speaks embeddings, Chat and Responses."""

PATHS = {
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
    OPENAI: "/v1/embeddings",
}
_KINDS = {
    CHAT: "openai-compatible",
    RESPONSES: "openai-responses",
    MESSAGES: "anthropic",
    GEMINI: "gemini",
    OPENAI: "openai",
}
_UPSTREAM_MODELS = {
    CHAT: "some-vendor/chat-1",
    RESPONSES: "gpt-5",
    MESSAGES: "claude-sonnet-4-5",
    GEMINI: "gemini-2.5-flash",
    OPENAI: "text-embedding-3-small",
}
_BASES = {CHAT: "/v1", RESPONSES: "/v1", OPENAI: "/v1"}
_HEADERS = ("content-type", "retry-after", "retry-after-ms", "x-should-retry")
_THREADS = 4


def public_model(dialect: str) -> str:
    """The model that callers ask for to reach a provider of the dialect."""
    return f"played-{dialect}"


def upstream_model(dialect: str) -> str:
    """What the provider of the dialect calls it."""
    return _UPSTREAM_MODELS[dialect]


@dataclass(frozen=True)
class Play:
    """One call: a recording, asked for in a client dialect."""

    recording: Recording
    client: str
    stream: bool
    request: Recording | None = None
    """Whose recorded request to send; None: a simple request that asks for as much as the recording holds."""
    cuts: Sequence[int] = ()
    via: str = ""
    """Which channel to take, by the dialect that it is named after; empty: the one of the recording."""
    body: Any = None
    """What to send instead of either."""
    name: str = ""

    @property
    def model(self) -> str:
        return public_model(self.via or self.recording.dialect)

    @property
    def id(self) -> str:
        request = f"asked as {self.request.id}" if self.request else ""
        words = [self.recording.id, self.client, "stream" if self.stream else "whole", request, self.via, self.name]
        return "|".join(word for word in words if word)


@dataclass(frozen=True)
class Played:
    """What came of a play."""

    play: Play
    sent: bytes
    status: int
    headers: dict[str, str]
    body: bytes
    broken: bool
    """Whether the answer's framing was incomplete."""
    arrived: Arrived | None
    row: Object
    """The row of the log; empty if there is none."""

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")


def replay_of(recording: Recording, cuts: Sequence[int] = ()) -> Replay:
    """The recorded answer; a stream goes out event by event unless cuts are given."""
    headers = {name: value for name, value in recording.headers.items() if name in _HEADERS}
    wire = recording.wire
    if not recording.is_stream:
        return Replay(recording.status, headers, [wire])
    if cuts:
        return Replay(recording.status, headers, cuts_of(wire, cuts), cut=recording.is_cut)
    separator = recording.response.get("event_separator", "\n\n")
    pieces = [(event + separator).encode() for event in recording.response["events"]]
    return Replay(recording.status, headers, pieces, cut=recording.is_cut)


def simple_request(play: Play) -> Object:
    """A request of the client dialect to which the recording could be the answer."""
    meaning = play.recording.meaning if play.recording.status == 200 and _is_generation(play) else Meaning()
    names = {call.name: call.custom for choice in meaning.choices for call in choice.calls}
    schema = {"type": "object", "properties": {}}
    body: Object = {"model": play.model}
    words = "Say it again."
    if play.client == CHAT:
        body["messages"] = [{"role": "user", "content": words}]
        tools = [
            {"type": "custom", "custom": {"name": name}}
            if custom
            else {"type": "function", "function": {"name": name, "parameters": schema}}
            for name, custom in names.items()
        ]
        if len(meaning.choices) > 1:
            body["n"] = len(meaning.choices)
        if play.stream:
            body["stream_options"] = {"include_usage": True}
    elif play.client == RESPONSES:
        body["input"] = words
        tools = [
            {"type": "custom", "name": name} if custom else {"type": "function", "name": name, "parameters": schema}
            for name, custom in names.items()
        ]
    else:
        body |= {"messages": [{"role": "user", "content": words}], "max_tokens": 4_000}
        tools = [{"name": name, "input_schema": schema} for name in names]
    if tools:
        body["tools"] = tools
    if play.stream:
        body["stream"] = True
    return body


def recorded_request(play: Play) -> Object:
    """The recorded request, for the model at hand; what a client asks for by default is spelt out."""
    assert play.request is not None
    body = {**play.request.request["body"], "model": play.model}
    if play.client == RESPONSES:
        body["store"] = False
    return body


def _is_generation(play: Play) -> bool:
    return play.recording.dialect in {CHAT, RESPONSES, MESSAGES, GEMINI}


class Stage:
    """The gateway, the provider behind it, and a key."""

    def __init__(self, home: Path) -> None:
        self.provider = ReplayingProvider()
        self.gateway = GatewayProcess(home, settings={"RUAPI_RETRIES": "0"})
        self.key: CreatedKey
        self._connections = threading.local()

    @contextmanager
    def open(self) -> Iterator[Stage]:
        """Serve for as long as the block lasts."""
        with self.provider, self.gateway as gateway:
            gateway.make_owner(balance="100000")
            for dialect, kind in _KINDS.items():
                base = self.provider.base_url + _BASES.get(dialect, "")
                public = public_model(dialect)
                gateway.add_channel(
                    f"to-{dialect}", kind, base, models=[f"{public}={upstream_model(dialect)}"], secret=SECRET
                )
                gateway.price_model(public, input_usd="2", output_usd="10", context=1_000_000, max_output=64_000)
            self.key = gateway.create_key("player")
            gateway.start()
            yield self

    def play_all(self, plays: Sequence[Play]) -> dict[str, Played]:
        """Carry the plays out, several at once, and look each up in the log."""
        with ThreadPoolExecutor(_THREADS) as pool:
            calls = list(pool.map(self._call, plays))
        rows = {row["request_id"]: row for row in self.gateway.logged_calls("--limit", "20000")}
        return {
            play.id: Played(
                play=play,
                sent=sent,
                status=status,
                headers=headers,
                body=body,
                broken=broken,
                arrived=self.provider.arrived.get(play.id),
                row=rows.get(headers.get("x-request-id", ""), {}),
            )
            for play, (sent, status, headers, body, broken) in zip(plays, calls, strict=True)
        }

    def _call(self, play: Play) -> tuple[bytes, int, dict[str, str], bytes, bool]:
        body = play.body or (recorded_request(play) if play.request else simple_request(play))
        sent = json.dumps(body).encode()
        self.provider.stage(play.id, replay_of(play.recording, play.cuts))
        fields = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.key.secret}",
            KEY_HEADER: play.id,
        }
        path = PATHS[play.client]
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=30)
        try:
            connection.request("POST", path, sent, fields)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            try:
                return sent, response.status, headers, response.read(), False
            except http.client.IncompleteRead as fault:
                return sent, response.status, headers, fault.partial, True
        finally:
            connection.close()


def json_of(body: bytes) -> Any:
    """The body as JSON; None if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def strings_of(value: Any) -> Iterator[str]:
    """Every string inside a JSON value that is not a name."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner)
