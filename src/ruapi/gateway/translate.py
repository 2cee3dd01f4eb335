"""Stage: from an admitted call to what one candidate is sent, and how its answer is carried back.

Same dialect on both sides: the caller's own bytes, spliced where they must change, and the answer verbatim.
Another dialect: through the canonical form, both ways, with every loss named. That is decided for each
candidate, since one model may be served by channels of several kinds.

Headers go upstream by an allow-list, so a caller's credentials, cookies and forwarding headers cannot.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from ruapi.canon.events import ErrorReport
from ruapi.canon.losses import Loss
from ruapi.canon.parts import SEAL_PREFIX, Origin
from ruapi.canon.usage import Usage
from ruapi.dialects import dialect as codecs
from ruapi.dialects.dialect import ClientContext, UpstreamContext
from ruapi.dialects.passage import Reading, StreamPassage
from ruapi.dialects.registry import CODECS, ClientDialect, quirks_of
from ruapi.dialects.translation import Translation
from ruapi.errors import Problem, UntranslatableRequest
from ruapi.gateway.admit import Admitted
from ruapi.gateway.call_exchange import CallExchange
from ruapi.gateway.directory import Line
from ruapi.routing.candidates import Candidate, upstream_dialect
from ruapi.upstream import Target

_FORWARDED = frozenset({b"accept", b"user-agent", b"idempotency-key"})
_FORWARDED_BY_DIALECT = {
    "openai_chat": _FORWARDED | {b"openai-beta"},
    "openai_responses": _FORWARDED | {b"openai-beta"},
    "openai_embeddings": _FORWARDED | {b"openai-beta"},
    "anthropic_messages": _FORWARDED | {b"anthropic-beta", b"anthropic-version"},
    "gemini": _FORWARDED,
}
_ANTHROPIC_VERSION = (b"anthropic-version", b"2023-06-01")
_JSON = (b"content-type", b"application/json")

_OUTPUT_FIELD_OF_KIND = {
    "openai": "max_completion_tokens",  # reasoning models refuse max_tokens
    "openai-compatible": "max_tokens",  # the older name is the one that every server knows
    "openai-responses": "max_output_tokens",
    "anthropic": "max_tokens",
    "gemini": "maxOutputTokens",
}


class Carriage(Protocol):
    """How an answer travels back."""

    answer_losses: tuple[Loss, ...]

    def read_answer(self, body: bytes) -> Reading | ErrorReport | None:
        """What a whole answer says of itself; an error reported inside it; None when it is not of its dialect."""
        ...

    def answer_body(self, *, usage: Usage, cost_usd: str) -> bytes:
        """The body for the caller of the answer that was read."""
        ...

    def open_passage(self) -> StreamPassage:
        """The stream of the answer."""
        ...


class Verbatim:
    """The provider's own bytes."""

    __slots__ = ("_body", "_dialect", "_usage_wanted", "answer_losses")

    def __init__(self, dialect: ClientDialect, *, usage_wanted: bool) -> None:
        self._dialect = dialect
        self._usage_wanted = usage_wanted
        self._body = b""
        self.answer_losses: tuple[Loss, ...] = ()

    def read_answer(self, body: bytes) -> Reading | None:
        """See ``Carriage``."""
        self._body = body
        return self._dialect.read_answer(body)

    def answer_body(self, *, usage: Usage, cost_usd: str) -> bytes:  # noqa: ARG002 - nothing is written anew
        """See ``Carriage``."""
        return self._body

    def open_passage(self) -> StreamPassage:
        """See ``Carriage``."""
        return self._dialect.open_passage(usage_wanted=self._usage_wanted)


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """One request for one channel, and the way back of its answer."""

    target: Target
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    secret: str
    dialect: str
    carriage: Carriage
    losses: tuple[Loss, ...] = ()


def outbound(exchange: CallExchange, admitted: Admitted, candidate: Candidate, line: Line) -> Outbound | Problem:
    """What to send to this candidate, or why it cannot be said in its dialect."""
    client = admitted.dialect
    spoken = upstream_dialect(candidate.kind, client.name)
    if spoken is None:
        return UntranslatableRequest(f"'{admitted.facts.model}' is served in another protocol that has no such call.")
    forwarded = _FORWARDED_BY_DIALECT[spoken]
    headers = [pair for pair in exchange.headers if pair[0] in forwarded]
    headers.append(_JSON)
    headers += line.credentials
    if spoken == "anthropic_messages" and exchange.header(b"anthropic-version") is None:
        headers.append(_ANTHROPIC_VERSION)
    if spoken != client.name or (client.codec is not None and SEAL_PREFIX.encode() in admitted.body):
        return _translated(admitted, candidate, line, spoken, headers)
    body = client.edit(
        admitted.body,
        admitted.document,
        admitted.facts,
        model=candidate.model_upstream,
        output_tokens_max=admitted.output_tokens_cap,
        output_field=_OUTPUT_FIELD_OF_KIND[candidate.kind],
    )
    path = f"{line.base_path}{client.upstream_path}"
    if client.name == "anthropic_messages" and exchange.query == b"beta=true":
        path += "?beta=true"
    return Outbound(
        target=line.target,
        path=path,
        headers=headers,
        body=body,
        secret=line.secret,
        dialect=spoken,
        carriage=Verbatim(client, usage_wanted=admitted.facts.usage_wanted),
    )


def _translated(
    admitted: Admitted, candidate: Candidate, line: Line, spoken: str, headers: list[tuple[bytes, bytes]]
) -> Outbound | Problem:
    client, upstream = admitted.dialect.codec, CODECS[spoken]
    if client is None:
        return UntranslatableRequest(f"'{admitted.facts.model}' is served in another protocol that has no such call.")
    issuer = issuer_of(line)
    try:
        if admitted.canonical is None:
            admitted.canonical = client.decode_request(admitted.document)
        asked = admitted.canonical
        request = msgspec.structs.replace(asked, stream=admitted.facts.stream)
        if admitted.output_tokens_cap is not None:
            request = msgspec.structs.replace(request, max_output_tokens=admitted.output_tokens_cap)
        target = codecs.Target(
            model=candidate.model_upstream,
            origin=Origin(dialect=upstream.name, issuer=issuer),
            quirks=quirks_of(
                spoken, candidate.model_upstream, provider_of(line), _output_bound(admitted, request.max_output_tokens)
            ),
        )
        encoded = upstream.encode_request(request, target)
    except codecs.UntranslatableRequest as fault:
        figures = {"param": fault.param} if fault.param else {}
        return UntranslatableRequest(str(fault), figures=figures)
    refused = _strict_refusal(admitted, encoded.losses)
    if refused is not None:
        return refused
    path = upstream.request_path(candidate.model_upstream, stream=admitted.facts.stream)
    return Outbound(
        target=line.target,
        path=f"{line.base_path}{path}",
        headers=headers + [(name.encode(), value.encode()) for name, value in encoded.headers],
        body=encoded.body,
        secret=line.secret,
        dialect=spoken,
        losses=encoded.losses,
        carriage=Translation(
            upstream=upstream,
            client=client,
            upstream_context=UpstreamContext(
                origin=target.origin, response_id=admitted.request_id, tool_names=encoded.tool_names
            ),
            client_context=ClientContext(
                response_id=admitted.request_id.removeprefix("req_"),
                model=admitted.facts.model,
                created_at_s=admitted.started_at // 1000,
                request=asked,
                include_usage=admitted.facts.usage_wanted,
                input_tokens_estimate=admitted.input_tokens_counted,
            ),
        ),
    )


def _output_bound(admitted: Admitted, asked: int | None) -> int | None:
    """The most output that a codec may ask for: the model's, and never more than the caller's own cap, which is held.

    Without it a codec that makes room for a reasoning budget could ask for more than was reserved.
    """
    model_max = admitted.offer.model.output_tokens_max
    if asked is None or model_max is None:
        return asked if model_max is None else model_max
    return min(asked, model_max)


def _strict_refusal(admitted: Admitted, losses: tuple[Loss, ...]) -> Problem | None:
    """Under a strict key or request, a loss that changes the meaning refuses the call."""
    if not admitted.strict:
        return None
    changing = [loss for loss in losses if loss.severity == "meaning"]
    if not changing:
        return None
    words = " ".join(f"{loss.name}: {loss.sentence}" for loss in changing[:5])
    return UntranslatableRequest(
        f"The channel of '{admitted.facts.model}' speaks another protocol, and this cannot be carried: {words}",
        figures={"losses": ",".join(loss.name for loss in changing)},
    )


_ISSUER_OF_DOMAIN = {
    "openai.com": "openai",
    "azure.com": "azure",
    "anthropic.com": "anthropic",
    "googleapis.com": "google",
    "deepseek.com": "deepseek",
    "mistral.ai": "mistral",
    "groq.com": "groq",
    "openrouter.ai": "openrouter",
    "x.ai": "xai",
    "together.ai": "together",
    "together.xyz": "together",
    "cerebras.ai": "cerebras",
    "moonshot.ai": "moonshot",
    "moonshot.cn": "moonshot",
    "z.ai": "zai",
    "bigmodel.cn": "zai",
    "huggingface.co": "huggingface",
    "aliyuncs.com": "alibaba",
    "ollama.com": "ollama",
}
_VENDOR_OF_KIND = {"openai": "openai", "openai-responses": "openai", "anthropic": "anthropic", "gemini": "google"}


def issuer_of(line: Line) -> str:
    """Who stands behind a channel: whose signatures may be replayed to it.

    A known host tells. A channel at any other host is somebody of its own, known by the channel's id.
    """
    return _known_issuer(line) or line.channel.id


def provider_of(line: Line) -> str:
    """Whose habits a channel has: the known host's, or at an unknown one the vendor's whose kind it is."""
    return _known_issuer(line) or _VENDOR_OF_KIND.get(line.channel.kind, "")


def _known_issuer(line: Line) -> str | None:
    return _ISSUER_OF_DOMAIN.get(".".join(line.target.host.split(".")[-2:]))
