"""What a translation costs: CPU time per crossing of two dialects, on one core, without any network.

Run it with ``python -m bench.translation``. The exchange is a conversation of about 3 kB with two tools and
an answer with text and a call; the stream is the same answer in 200 pieces. The targets are 150 us for a
whole exchange (the request and its answer, both codecs) and 15 us for a stream's event.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from ruapi.canon.events import (
    ArgumentsAdded,
    ChoiceStopped,
    MessageStarted,
    MessageStopped,
    PartStarted,
    PartStopped,
    Stop,
    TextAdded,
    UsageReported,
)
from ruapi.canon.parts import Origin, Text, ToolCall
from ruapi.canon.request import Request
from ruapi.canon.response import fold
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import ClientContext, Target, UpstreamContext
from ruapi.dialects.registry import CODECS, quirks_of

EXCHANGE_TARGET_US = 150.0
EVENT_TARGET_US = 15.0
CLIENTS = ("openai_chat", "openai_responses", "anthropic_messages")
_ROUNDS = 7
_SECONDS_PER_ROUND = 0.06
_PIECES = 200

_WORDS = "The gateway holds the money before the call and settles it after the answer. "
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
_CONVERSATION = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "You plan journeys. " + _WORDS * 4},
        *[{"role": role, "content": _WORDS * 4} for role in ("user", "assistant", "user", "assistant", "user")],
    ],
    "tools": [
        {"type": "function", "function": {"name": name, "description": _WORDS, "parameters": _SCHEMA}}
        for name in ("weather", "trains")
    ],
    "max_completion_tokens": 2_000,
    "temperature": 0.5,
}


def _events() -> list[Any]:
    """An answer in canonical events: text, then one call."""
    words = (_WORDS * 30)[: _PIECES * 10]
    arguments = json.dumps({"city": "Bergen", "days": 3})
    events: list[Any] = [MessageStarted(id="x", model="m", created_at_s=1), PartStarted(index=0, part=Text(text=""))]
    events += [TextAdded(index=0, text=words[start : start + 10]) for start in range(0, len(words), 10)]
    events += [PartStopped(index=0), PartStarted(index=1, part=ToolCall(id="call_1", name="weather", arguments=""))]
    events += [ArgumentsAdded(index=1, text=arguments[start : start + 6]) for start in range(0, len(arguments), 6)]
    events += [PartStopped(index=1), ChoiceStopped(stop=Stop(reason="tool_calls"))]
    events += [UsageReported(usage=Usage(input_tokens=700, output_tokens=450)), MessageStopped()]
    return events


def _best_us(work: Callable[[], object]) -> float:
    """The least CPU time of one call over several rounds, in microseconds: noise only ever adds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        count, started = 0, time.process_time()
        while time.process_time() - started < _SECONDS_PER_ROUND:
            work()
            count += 1
        best = min(best, (time.process_time() - started) / count)
    return best * 1e6


def measure(client_name: str, upstream_name: str) -> tuple[float, float]:
    """(us for a whole exchange, us for one event of its stream) of one crossing."""
    client, upstream = CODECS[client_name], CODECS[upstream_name]
    neutral = CODECS["openai_chat"].decode_request(_CONVERSATION)
    origin = Origin(dialect=client.name)
    body = client.encode_request(neutral, Target(model="m", origin=origin)).body
    target = Target(model="m", origin=Origin(dialect=upstream.name), quirks=quirks_of(upstream_name, "m", "", 4_096))
    context = ClientContext(response_id="1", model="m", created_at_s=1)
    events = _events()
    answer = upstream.encode_response(fold(events), context).body
    encoder = upstream.stream_encoder(context)
    pieces = [piece for event in events if (piece := encoder.encode([event]))] + [encoder.finish()]

    def exchange() -> None:
        request: Request = client.decode_request(body)
        encoded = upstream.encode_request(request, target)
        answered = UpstreamContext(origin=target.origin, response_id="1", tool_names=encoded.tool_names)
        client.encode_response(upstream.decode_response(answer, answered), context)

    def stream() -> None:
        decoder = upstream.stream_decoder(UpstreamContext(origin=target.origin, response_id="1"))
        writer = client.stream_encoder(context)
        for piece in pieces:
            writer.encode(decoder.feed(piece))
        writer.encode(decoder.finish())
        writer.finish()

    return _best_us(exchange), _best_us(stream) / len(pieces)


def main() -> int:
    """Print the table; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    rows = [
        {"client": client, "upstream": upstream, "exchange_us": round(exchange, 1), "event_us": round(event, 2)}
        for client in CLIENTS
        for upstream in CODECS
        if upstream != client
        for exchange, event in [measure(client, upstream)]
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.write(f"{'caller':20} {'provider':20} {'us/exchange':>12} {'us/event':>10}\n")
        for row in rows:
            sys.stdout.write(
                f"{row['client']:20} {row['upstream']:20} {row['exchange_us']:>12} {row['event_us']:>10}\n"
            )
        sys.stdout.write(f"targets: {EXCHANGE_TARGET_US:g} us an exchange, {EVENT_TARGET_US:g} us an event\n")
    missed = any(
        float(row["exchange_us"]) > EXCHANGE_TARGET_US or float(row["event_us"]) > EVENT_TARGET_US for row in rows
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
