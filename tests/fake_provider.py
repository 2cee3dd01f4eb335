"""A provider that does as it is told: every dialect, every kind of misbehaviour, and a record of each call.

In a test::

    with FakeProvider() as provider:
        provider.script("broken-model", Behaviour(status=529))
        provider.script("slow-model", Behaviour(chunks=20, text="one two three"))
        ...                                   # call it, through the gateway, at provider.base_url
        assert provider.calls[-1].json["model"] == "slow-model"

It runs on an event loop in a thread of its own, so tests may be synchronous, and nothing needs a sleep:
``hold()`` makes the next answers wait, ``wait_until_held(3)`` returns when three of them do, ``release()``
lets them go on.

As a process of its own, for load (``python -m tests.fake_provider --plain``), it prints its base URL and
answers from prepared bytes without looking at the body.

What a call gets is decided by the ``model`` in its body: a scripted behaviour, or else the default. A list
of behaviours is used up one call at a time; the last one stays.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import httptools
import uvloop

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
COUNT_TOKENS, EMBEDDINGS, MODELS = "/v1/messages/count_tokens", "/v1/embeddings", "/v1/models"

WAIT_SECONDS_MAX = 30.0

HTML_ERROR = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1><hr>cloud edge</body></html>"

# status -> (OpenAI's type, OpenAI's code, Anthropic's type), as the vendors document them.
ERROR_NAMES: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "invalid_request_error"),
    401: ("invalid_request_error", "invalid_api_key", "authentication_error"),
    402: ("insufficient_quota", "billing_hard_limit_reached", "billing_error"),
    403: ("invalid_request_error", "unsupported_country_region_territory", "permission_error"),
    404: ("invalid_request_error", "model_not_found", "not_found_error"),
    413: ("invalid_request_error", None, "request_too_large"),
    429: ("requests", "rate_limit_exceeded", "rate_limit_error"),
    500: ("server_error", None, "api_error"),
    503: ("server_error", None, "api_error"),
    529: ("server_error", None, "overloaded_error"),
}


@dataclass(frozen=True)
class Tokens:
    """What the provider says was used. ``input`` counts cached and cache-written tokens too."""

    input: int = 1_000
    output: int = 500
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0  # of cache_write
    reasoning: int = 0  # of output


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How one call is answered. The default is a good answer with plain usage."""

    text: str = "The quick brown fox jumps over the lazy dog."
    tokens: Tokens | None = field(default_factory=Tokens)  # None: the provider reports no usage
    obey_max_tokens: bool = True  # False: report tokens.output even if the caller asked for fewer
    finish_reason: str | None = None  # in the dialect's own words; None: stop, or length at max_tokens

    # the answer's head
    status: int = 200
    message: str = "The provider has a bad day."  # of an error, in the vendor's shape
    body: bytes | None = None  # sent as it is, instead of the vendor's shape
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    redirect_to: str | None = None  # answers 307 with this location
    echo_credentials: bool = False  # repeats the caller's secret in the error's message

    # how it travels
    chunks: int = 8  # deltas of a stream
    gzip: bool = False  # compresses, whether or not it was asked to
    transfer_chunked: bool = False  # of an answer that is no stream
    close_delimited: bool = False  # no length at all: the end of the connection ends the body
    bytes_per_write: int | None = None  # splits everything into writes of this size
    first_byte_delay_ms: int = 0
    chunk_delay_ms: int = 0

    # how it goes wrong
    hang: bool = False  # accepts the call and never answers
    hang_after_chunks: int | None = None
    cut_before_head: bool = False  # closes the connection instead of answering
    cut_after_chunks: int | None = None  # closes it in mid-stream; of other answers, in mid-body
    reset: bool = False  # cuts with a TCP reset
    error_after_chunks: int | None = None  # an error event in the stream, then its end
    done: bool = True  # False: the stream ends without [DONE], message_stop or response.completed


@dataclass
class Call:
    """A request as it arrived, and what became of its answer."""

    method: str
    target: str  # path and query
    headers: list[tuple[str, str]]  # names in lower case, in order
    body: bytes
    chunks_sent: int = 0
    answered: bool = False  # everything that was meant to be said was said
    aborted: bool = False  # the caller hung up before that

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)


class FakeProvider:
    """The provider and its script, in a thread of its own between ``with`` and its end."""

    def __init__(self, *, port: int = 0, plain: bool = False, default: Behaviour | None = None):
        self.default = default or Behaviour()
        self.calls: list[Call] = []
        self.connections_opened = 0
        self.plain = plain
        self._port = port
        self._scripts: dict[str, list[Behaviour]] = {}
        self._changed = threading.Condition()
        self._hold_after: int | None = None  # chunks; 0: before the head; None: nothing is held
        self._held: list[asyncio.Future[None]] = []
        self._loop = uvloop.new_event_loop()
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._thread = threading.Thread(target=self._run, name="fake provider", daemon=True)
        self._plain_answers: dict[tuple[str, bool], list[bytes]] = {}

    # --- what a test says ---

    @property
    def base_url(self) -> str:
        """Where it listens, without ``/v1``: what the channel kind ``anthropic`` takes."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_base_url(self) -> str:
        """Where it listens, with ``/v1``: what the OpenAI channel kinds take."""
        return f"{self.base_url}/v1"

    def script(self, model: str, *behaviours: Behaviour) -> None:
        """Answer the next calls of a model like this, one after another; the last behaviour stays."""
        with self._changed:
            self._scripts[model] = list(behaviours)

    def hold(self, *, after_chunks: int = 0) -> None:
        """Make every answer wait from now on: before its head, or after so many chunks of a stream."""
        with self._changed:
            self._hold_after = after_chunks

    def release(self) -> None:
        """Let the held answers go on, and hold none any more."""
        with self._changed:
            self._hold_after = None
            held, self._held = self._held, []
        for future in held:
            self._loop.call_soon_threadsafe(lambda future=future: future.done() or future.set_result(None))

    def wait_until_held(self, count: int = 1) -> None:
        """Return when so many answers wait for ``release``."""
        self.wait_for(lambda: len(self._held) >= count, f"{count} held answers")

    def wait_for_calls(self, count: int = 1) -> list[Call]:
        """Return when so many calls have arrived since the start or ``forget_calls``."""
        self.wait_for(lambda: len(self.calls) >= count, f"{count} calls")
        return self.calls

    def wait_for(self, condition: Callable[[], bool], meaning: str) -> None:
        """Return when something about the calls is true, checked at every change."""
        with self._changed:
            if not self._changed.wait_for(condition, WAIT_SECONDS_MAX):
                raise TimeoutError(f"waited {WAIT_SECONDS_MAX:g} s for {meaning}; calls: {self.calls}")

    def forget_calls(self) -> None:
        with self._changed:
            self.calls = []

    # --- its life ---

    def __enter__(self) -> Self:
        self._thread.start()
        ready = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        self._port = ready.result(WAIT_SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(WAIT_SECONDS_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS_MAX)
        self._loop.close()

    def serve_forever(self) -> None:
        self.__enter__()
        print(self.base_url, flush=True)  # noqa: T201  # whoever started it reads this
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> int:
        server = await self._loop.create_server(lambda: Connection(self), "127.0.0.1", self._port, backlog=1_024)
        self._server = cast("asyncio.Server", server)  # uvloop calls it an AbstractServer
        return int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [connection.task for connection in self._connections if connection.task]
        for connection in list(self._connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    # --- what a connection asks ---

    def _behaviour(self, model: str) -> Behaviour:
        with self._changed:
            queue = self._scripts.get(model) or [self.default]
            return queue.pop(0) if len(queue) > 1 else queue[0]

    def _arrived(self, call: Call) -> None:
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    def _progressed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _wait_if_held(self, chunks_sent: int) -> None:
        with self._changed:
            if self._hold_after != chunks_sent:
                return
            future = self._loop.create_future()
            self._held.append(future)
            self._changed.notify_all()
        await future

    def _plain_answer(self, path: str, *, stream: bool) -> list[bytes]:
        """Every write of a prepared answer: one, or one for each chunk of a stream."""
        answer = self._plain_answers.get((path, stream))
        if answer is None:
            body = {"model": "plain", "stream": stream, "stream_options": {"include_usage": True}}
            pieces = list(encode_answer(path, body, self.default))
            head = encode_head(200, content_headers(stream=stream), len(pieces[0]), chunked=stream)
            answer = [head + pieces[0]]
            if stream:
                answer = [as_transfer_chunk(piece) for piece in pieces] + [b"0\r\n\r\n"]
                answer[0] = head + answer[0]
                answer[-2:] = [answer[-2] + answer[-1]]
            self._plain_answers[path, stream] = answer
        return answer


class Connection(asyncio.Protocol):
    """One caller's connection: parses requests and writes the answers, one at a time."""

    transport: asyncio.Transport

    def __init__(self, provider: FakeProvider):
        self.provider = provider
        self.task: asyncio.Task[None] | None = None
        self.call: Call | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.provider._connections.add(self)
        self.provider.connections_opened += 1

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def connection_lost(self, _reason: Exception | None) -> None:
        self.provider._connections.discard(self)
        if self.task:
            self.task.cancel()
        if self.call and not self.call.answered:
            self.call.aborted = True
            self.provider._progressed()

    def abort(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

    # --- httptools ---

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.provider.plain:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body, self._body = b"".join(self._body), []
        headers, self._headers = self._headers, []
        target, self._target = self._target.decode("latin-1"), b""
        if self.provider.plain:
            self._answer_plainly(target, body)
            return
        self.call = Call(self._parser.get_method().decode(), target, headers, body)
        self.provider._arrived(self.call)
        self.task = self.provider._loop.create_task(self._answer(self.call))

    # --- answers ---

    def _answer_plainly(self, target: str, body: bytes) -> None:
        stream = b'"stream":true' in body or b'"stream": true' in body
        writes = self.provider._plain_answer(target.partition("?")[0], stream=stream)
        if len(writes) == 1:
            self.transport.write(writes[0])
        else:
            self._write_next(iter(writes))

    def _write_next(self, writes: Iterator[bytes]) -> None:
        """One chunk at a time, so that chunks of many streams mix as they do in life."""
        piece = next(writes, None)
        if piece is None or self.transport.is_closing():
            return
        self.transport.write(piece)
        delay_ms = self.provider.default.chunk_delay_ms
        if delay_ms:
            self.provider._loop.call_later(delay_ms / 1000, self._write_next, writes)
        else:
            self.provider._loop.call_soon(self._write_next, writes)

    async def _answer(self, call: Call) -> None:
        if call.method != "POST":
            self._write_whole(Behaviour(), b'{"object":"list","data":[]}')
            self._finish(call)
            return
        try:
            request = json.loads(call.body)
            model = str(request.get("model", ""))
        except ValueError:
            request, model = {}, ""
        behaviour = self.provider._behaviour(model)
        await self.provider._wait_if_held(0)
        if behaviour.first_byte_delay_ms:
            await asyncio.sleep(behaviour.first_byte_delay_ms / 1000)
        if behaviour.hang:
            await asyncio.Event().wait()
        if behaviour.cut_before_head:
            self._cut(behaviour)
            return
        if behaviour.echo_credentials:
            secret = call.header("authorization") or call.header("x-api-key") or ""
            message = f"Incorrect API key provided: {secret}. You can find yours in the dashboard."
            behaviour = replace(behaviour, message=message)
        if behaviour.status == 200 and behaviour.redirect_to is None and request.get("stream"):
            finished = await self._answer_in_pieces(call, request, behaviour)
        else:
            finished = self._answer_at_once(call, request, behaviour)
        if finished:
            self._finish(call)

    def _answer_at_once(self, call: Call, request: dict[str, Any], behaviour: Behaviour) -> bool:
        if behaviour.redirect_to is not None:
            location = (("location", behaviour.redirect_to),)
            behaviour = replace(behaviour, status=307, headers=location, body=b"")
        body = behaviour.body
        if body is None and behaviour.status == 200:
            body = b"".join(encode_answer(call.path, request, behaviour))
        elif body is None:
            body = encode_error(call.path, behaviour.status, behaviour.message)
        return self._write_whole(behaviour, body)

    def _write_whole(self, behaviour: Behaviour, body: bytes) -> bool:
        headers = list(behaviour.headers)
        content_type = behaviour.content_type or ("text/html" if body.startswith(b"<") else "application/json")
        headers.append(("content-type", content_type))
        if behaviour.gzip:
            body = gzip.compress(body)
            headers.append(("content-encoding", "gzip"))
        chunked = behaviour.transfer_chunked and not behaviour.close_delimited
        length = None if behaviour.close_delimited else len(body)
        head = encode_head(behaviour.status, headers, length, chunked=chunked)
        if behaviour.cut_after_chunks is not None:
            self._write(behaviour, head + body[: len(body) // 2])
            self._cut(behaviour)
            return False
        if chunked:
            half = len(body) // 2
            body = b"".join(as_transfer_chunk(part) for part in (body[:half], body[half:]) if part)
            body += b"0\r\n\r\n"
        self._write(behaviour, head + body)
        if behaviour.close_delimited:
            self.transport.close()
        return True

    async def _answer_in_pieces(self, call: Call, request: dict[str, Any], behaviour: Behaviour) -> bool:
        headers = [*behaviour.headers, *content_headers(stream=True)]
        pieces: Sequence[bytes] = list(encode_answer(call.path, request, behaviour))
        if behaviour.gzip:
            pieces = [gzip.compress(b"".join(pieces))]
            headers.append(("content-encoding", "gzip"))
        chunked = not behaviour.close_delimited
        self._write(behaviour, encode_head(200, headers, None, chunked=chunked))
        for piece in pieces:
            if behaviour.cut_after_chunks == call.chunks_sent:
                self._cut(behaviour)
                return False
            if behaviour.hang_after_chunks == call.chunks_sent:
                await asyncio.Event().wait()
            if behaviour.chunk_delay_ms:
                await asyncio.sleep(behaviour.chunk_delay_ms / 1000)
            self._write(behaviour, as_transfer_chunk(piece) if chunked else piece)
            # Only what carries text counts as a chunk, whatever else the dialect puts around it.
            if is_delta(piece):
                call.chunks_sent += 1
                self.provider._progressed()
                await self.provider._wait_if_held(call.chunks_sent)
            await asyncio.sleep(0)  # a turn of the loop, so that chunks leave one by one
        if chunked:
            self.transport.write(b"0\r\n\r\n")
        else:
            self.transport.close()
        return True

    def _write(self, behaviour: Behaviour, data: bytes) -> None:
        size = behaviour.bytes_per_write or len(data)
        for start in range(0, len(data), size):
            self.transport.write(data[start : start + size])

    def _cut(self, behaviour: Behaviour) -> None:
        if behaviour.reset:
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
        if self.call:
            self.call.answered = True  # as was meant; it is not the caller who hung up
            self.provider._progressed()

    def _finish(self, call: Call) -> None:
        call.answered = True
        self.provider._progressed()


# --- bytes on the wire ----------------------------------------------------------------------------


def encode_head(status: int, headers: Sequence[tuple[str, str]], length: int | None, *, chunked: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} Fake", *(f"{name}: {value}" for name, value in headers)]
    if chunked:
        lines.append("transfer-encoding: chunked")
    elif length is None:
        lines.append("connection: close")
    else:
        lines.append(f"content-length: {length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def content_headers(*, stream: bool) -> list[tuple[str, str]]:
    return [("content-type", "text/event-stream; charset=utf-8" if stream else "application/json")]


def as_transfer_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def as_data(value: Any) -> bytes:
    """One event in OpenAI's way."""
    return b"data: " + as_json(value) + b"\n\n"


def as_event(value: dict[str, Any]) -> bytes:
    """One event in Anthropic's way, which Responses shares: its type stands in front, too."""
    return f"event: {value['type']}\n".encode() + as_data(value)


def is_delta(piece: bytes) -> bool:
    return b'"delta":{"content":' in piece or b"text_delta" in piece or b"output_text.delta" in piece


# --- the dialects ---------------------------------------------------------------------------------

_numbers = itertools.count(1)


def encode_answer(path: str, request: dict[str, Any], behaviour: Behaviour) -> Iterator[bytes]:
    """A good answer in the dialect of the path: one piece, or one for each event of a stream."""
    if path == EMBEDDINGS:
        yield as_json(embeddings(request, behaviour))
    elif path == COUNT_TOKENS:
        yield as_json({"input_tokens": tokens_used(request, behaviour)[0].input})
    elif path == CHAT:
        yield from chat_stream(request, behaviour) if request.get("stream") else [chat(request, behaviour)]
    elif path == MESSAGES:
        if request.get("stream"):
            yield from messages_stream(request, behaviour)
        else:
            yield messages(request, behaviour)
    elif path == RESPONSES:
        if request.get("stream"):
            yield from responses_stream(request, behaviour)
        else:
            yield as_json(response_object(request, behaviour, done=True))
    else:
        yield as_json({"error": {"message": f"The fake provider knows no {path}", "type": "not_found"}})


def encode_error(path: str, status: int, message: str) -> bytes:
    """An error as the vendor of the path shapes it."""
    openai_type, openai_code, anthropic_type = ERROR_NAMES.get(status, ("server_error", None, "api_error"))
    if path.startswith(MESSAGES):
        error = {"type": anthropic_type, "message": message}
        return as_json({"type": "error", "error": error, "request_id": "req_fake"})
    return as_json({"error": {"message": message, "type": openai_type, "param": None, "code": openai_code}})


def tokens_used(request: dict[str, Any], behaviour: Behaviour) -> tuple[Tokens, bool]:
    """The usage to report, and whether the caller's own cap cut the answer short."""
    tokens = behaviour.tokens or Tokens(0, 0)
    caps = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    cap = next((request[name] for name in caps if isinstance(request.get(name), int)), None)
    if cap is None or cap >= tokens.output or not behaviour.obey_max_tokens:
        return tokens, False
    return replace(tokens, output=cap, reasoning=min(tokens.reasoning, cap)), True


def text_pieces(behaviour: Behaviour) -> list[str]:
    """The text in as many pieces as the stream has deltas; short texts repeat, so that none is empty."""
    text, count = behaviour.text, behaviour.chunks
    if len(text) < count:
        text *= -(-count // max(1, len(text)))
    edges = [len(text) * index // count for index in range(count + 1)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


def chat_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


def chat(request: dict[str, Any], behaviour: Behaviour) -> bytes:
    tokens, capped = tokens_used(request, behaviour)
    finish_reason = behaviour.finish_reason or ("length" if capped else "stop")
    message = {"role": "assistant", "content": behaviour.text, "refusal": None}
    answer = {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.get("model"),
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}
            for index in range(request.get("n") or 1)
        ],
    }
    if behaviour.tokens is not None:
        answer["usage"] = chat_usage(tokens)
    return as_json(answer)


def chat_stream(request: dict[str, Any], behaviour: Behaviour) -> Iterator[bytes]:
    tokens, capped = tokens_used(request, behaviour)
    with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    head: dict[str, Any] = {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.get("model"),
    }
    if with_usage:
        head["usage"] = None

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return as_data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    yield chunk({"role": "assistant", "content": None})
    for number, piece in enumerate(text_pieces(behaviour)):
        if behaviour.error_after_chunks == number:
            error = {"message": behaviour.message, "type": "server_error", "param": None, "code": None}
            yield as_data({"error": error})
            return
        yield chunk({"content": piece})
    yield chunk({}, behaviour.finish_reason or ("length" if capped else "stop"))
    if with_usage and behaviour.tokens is not None:
        yield as_data({**head, "choices": [], "usage": chat_usage(tokens)})
    if behaviour.done:
        yield b"data: [DONE]\n\n"


def messages_usage(tokens: Tokens, output: int) -> dict[str, Any]:
    """Anthropic's count: what came from the cache or went into it is not part of ``input_tokens``."""
    return {
        "input_tokens": tokens.input - tokens.cached - tokens.cache_write,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write - tokens.cache_write_1h,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": output,
        "service_tier": "standard",
    }


def message_object(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": request.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def messages(request: dict[str, Any], behaviour: Behaviour) -> bytes:
    tokens, capped = tokens_used(request, behaviour)
    answer = message_object(request)
    answer["content"] = [{"type": "text", "text": behaviour.text}]
    answer["stop_reason"] = behaviour.finish_reason or ("max_tokens" if capped else "end_turn")
    if behaviour.tokens is not None:
        answer["usage"] = messages_usage(tokens, tokens.output)
    return as_json(answer)


def messages_stream(request: dict[str, Any], behaviour: Behaviour) -> Iterator[bytes]:
    tokens, capped = tokens_used(request, behaviour)
    start = message_object(request)
    if behaviour.tokens is not None:
        start["usage"] = messages_usage(tokens, min(1, tokens.output))
    yield as_event({"type": "message_start", "message": start})
    yield as_event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    yield as_event({"type": "ping"})
    for number, piece in enumerate(text_pieces(behaviour)):
        if behaviour.error_after_chunks == number:
            error = {"type": "overloaded_error", "message": behaviour.message}
            yield as_event({"type": "error", "error": error})
            return
        delta = {"type": "text_delta", "text": piece}
        yield as_event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield as_event({"type": "content_block_stop", "index": 0})
    stop_reason = behaviour.finish_reason or ("max_tokens" if capped else "end_turn")
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason, "stop_sequence": None},
    }
    if behaviour.tokens is not None:
        end["usage"] = {"output_tokens": tokens.output}
    yield as_event(end)
    if behaviour.done:
        yield as_event({"type": "message_stop"})


def response_object(request: dict[str, Any], behaviour: Behaviour, *, done: bool) -> dict[str, Any]:
    tokens, capped = tokens_used(request, behaviour)
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": behaviour.text, "annotations": [], "logprobs": []}],
    }
    usage = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }
    status = "incomplete" if capped else "completed"
    return {
        "id": f"resp_{next(_numbers)}",
        "object": "response",
        "created_at": int(time.time()),
        "model": request.get("model"),
        "status": status if done else "in_progress",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if done and capped else None,
        "output": [item] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if done and behaviour.tokens is not None else None,
    }


def responses_stream(request: dict[str, Any], behaviour: Behaviour) -> Iterator[bytes]:
    sequence = itertools.count()

    def event(kind: str, **fields: Any) -> bytes:
        return as_event({"type": f"response.{kind}", "sequence_number": next(sequence), **fields})

    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    yield event("created", response=response_object(request, behaviour, done=False))
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    yield event("output_item.added", output_index=0, item=item)
    for number, piece in enumerate(text_pieces(behaviour)):
        if behaviour.error_after_chunks == number:
            fields = {"code": "server_error", "message": behaviour.message, "param": None}
            yield as_event({"type": "error", "sequence_number": next(sequence), **fields})
            return
        yield event("output_text.delta", **place, delta=piece, logprobs=[])
    final = response_object(request, behaviour, done=True)
    yield event("output_text.done", **place, text=behaviour.text, logprobs=[])
    yield event("output_item.done", output_index=0, item=final["output"][0])
    if behaviour.done:
        yield event(final["status"], response=final)


def embeddings(request: dict[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    tokens, _ = tokens_used(request, behaviour)
    inputs = request.get("input")
    count = len(inputs) if isinstance(inputs, list) else 1
    answer: dict[str, Any] = {
        "object": "list",
        "model": request.get("model"),
        "data": [{"object": "embedding", "index": index, "embedding": [0.1, -0.2, 0.3]} for index in range(count)],
    }
    if behaviour.tokens is not None:
        answer["usage"] = {"prompt_tokens": tokens.input, "total_tokens": tokens.input}
    return answer


# --- a process of its own -------------------------------------------------------------------------


def main() -> None:
    """Serve until killed, with one default behaviour."""
    parser = argparse.ArgumentParser(description="A fake provider; prints its base URL when it listens.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="prepared answers only; records nothing")
    parser.add_argument("--chunks", type=int, default=50, help="deltas of a stream")
    parser.add_argument("--chunk-delay-ms", type=int, default=0, help="between two writes of a stream")
    parser.add_argument("--text-bytes", type=int, default=600, help="size of an answer's text")
    parser.add_argument("--input-tokens", type=int, default=1_000)
    parser.add_argument("--output-tokens", type=int, default=500)
    options = parser.parse_args()
    sentence = "The quick brown fox jumps over the lazy dog. "
    text = (sentence * (options.text_bytes // len(sentence) + 1))[: options.text_bytes]
    tokens = Tokens(options.input_tokens, options.output_tokens)
    behaviour = Behaviour(text=text, tokens=tokens, chunks=options.chunks, chunk_delay_ms=options.chunk_delay_ms)
    FakeProvider(port=options.port, plain=options.plain, default=behaviour).serve_forever()


if __name__ == "__main__":
    main()
