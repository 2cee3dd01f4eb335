"""A tiny real request through one channel: does it answer, and if not, why not."""

from __future__ import annotations

import time

import msgspec

from ruapi.administration.channels import Probe
from ruapi.gateway.directory import credentials
from ruapi.gateway.problems import redact
from ruapi.routing.candidates import DIALECTS_OF_KIND
from ruapi.storage.records import Channel
from ruapi.upstream import Timeouts, Upstream, UpstreamError, split_url

_ANSWER_BYTES_MAX = 1024 * 1024
_WORDS_MAX = 300

_HEADERS = [(b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01")]
_PATHS = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    "anthropic_messages": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}


def _question(dialect: str, kind: str, model: str) -> dict[str, object]:
    """The smallest request that the dialect knows."""
    messages = [{"role": "user", "content": "Hi"}]
    if dialect == "anthropic_messages":
        return {"model": model, "max_tokens": 1, "messages": messages}
    if dialect == "openai_responses":
        return {"model": model, "max_output_tokens": 16, "input": "Hi", "store": False}
    if dialect == "gemini":
        contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
        return {"contents": contents, "generationConfig": {"maxOutputTokens": 1}}
    cap = "max_completion_tokens" if kind == "openai" else "max_tokens"
    return {"model": model, cap: 16, "messages": messages}


async def probe(upstream: Upstream, channel: Channel, secret: str, model: str, timeouts: Timeouts) -> Probe:
    """Ask once and say what came back. The provider may charge for it."""
    dialect = DIALECTS_OF_KIND[channel.kind][0]
    target, base_path = split_url(channel.base_url, allow_private=channel.allow_private_address)
    started = time.monotonic()

    def said(status: int | None, message: str, *, ok: bool = False) -> Probe:
        total_ms = int((time.monotonic() - started) * 1000)
        return Probe(ok=ok, model=model, status=status, total_ms=total_ms, message=message)

    try:
        answer = await upstream.send(
            target,
            method="POST",
            path=base_path + _PATHS[dialect].format(model=model),
            headers=[*_HEADERS, *credentials(channel.kind, secret)],
            body=msgspec.json.encode(_question(dialect, channel.kind, model)),
            timeouts=timeouts,
        )
        body = await answer.read(_ANSWER_BYTES_MAX)
    except UpstreamError as fault:
        return said(None, f"no answer: {fault.detail}")
    if answer.status == 200:
        return said(200, f"{model} answers", ok=True)
    words = redact(body, secret).decode("utf-8", "replace")[:_WORDS_MAX]
    return said(answer.status, f"status {answer.status}: {' '.join(words.split())}")
