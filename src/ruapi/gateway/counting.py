"""``POST /v1/messages/count_tokens``: asked upstream where the provider counts, else counted here. Free.

A count that fails upstream is counted here too: a client that plans its context by it is helped more by a
fair guess than by an error. The header ``x-ruapi-counted-by`` says who counted.
"""

from __future__ import annotations

import msgspec
import structlog

from ruapi.canon.parts import Origin
from ruapi.dialects import dialect as codecs
from ruapi.dialects.call import InvalidField, read_messages, read_model
from ruapi.dialects.registry import ANTHROPIC_MESSAGES, CODECS, quirks_of
from ruapi.dialects.splice import replace_members
from ruapi.dialects.strict_json import InvalidJSON, decode_object
from ruapi.errors import InvalidRequest, Problem
from ruapi.gateway.admit import Admission
from ruapi.gateway.authenticate import Caller
from ruapi.gateway.directory import Directory, Line, Offer
from ruapi.gateway.problems import JSON_TYPE, identity_headers
from ruapi.gateway.server import Exchange
from ruapi.gateway.translate import issuer_of, provider_of
from ruapi.policy.model_access import check_model
from ruapi.pricing.estimate import count_output
from ruapi.routing.candidates import Candidate, in_order, upstream_dialect
from ruapi.upstream import Timeouts, Upstream, UpstreamError

log = structlog.get_logger("ruapi.counting")

_ANSWER_BYTES_MAX = 1024 * 1024
_HEADERS = frozenset({b"anthropic-beta", b"anthropic-version"})


class Counting:
    """The endpoint, with what it leans on."""

    def __init__(self, *, admission: Admission, directory: Directory, upstream: Upstream, timeouts: Timeouts) -> None:
        self._admission = admission
        self._directory = directory
        self._upstream = upstream
        self._timeouts = timeouts

    async def count(self, exchange: Exchange, caller: Caller, request_id: str, now: int) -> Problem | None:
        """Answer with the count, or say why not. It is free, but not of the key's rates."""
        limited = self._admission.enter(caller, now)
        if limited is not None:
            return limited
        try:
            return await self._count(exchange, caller, request_id)
        finally:
            self._admission.leave(caller, tokens=0)

    async def _count(self, exchange: Exchange, caller: Caller, request_id: str) -> Problem | None:
        address = self._admission.check_origin(exchange, caller)
        if isinstance(address, Problem):
            return address
        body = await self._admission.read_body(exchange)
        if isinstance(body, Problem):
            return body
        try:
            document = decode_object(body)
            model = read_model(document)
            read_messages(document)
        except InvalidJSON as fault:
            return InvalidRequest(f"Nothing was sent on: {fault}.")
        except InvalidField as fault:
            return InvalidRequest(f"{fault}.", figures={"param": fault.field})
        refused = check_model(caller.key.models, model)
        if refused is not None:
            return refused
        offer = self._directory.offer(model)
        if isinstance(offer, Problem):
            return offer
        tokens, counted_by = await self._ask(exchange, offer, body, document), b"provider"
        if tokens is None:
            tokens, counted_by = max(1, count_output(body.decode("utf-8", "replace"))), b"gateway"
        headers = [JSON_TYPE, *identity_headers(request_id), (b"x-ruapi-counted-by", counted_by)]
        exchange.respond(200, headers, msgspec.json.encode({"input_tokens": tokens}))
        return None

    async def _ask(self, exchange: Exchange, offer: Offer, body: bytes, document: dict[str, object]) -> int | None:
        """The count of the first channel whose dialect can count; None when none answers."""
        for candidate in in_order(list(offer.candidates), 0.0, client=ANTHROPIC_MESSAGES.name):
            line = self._directory.line(candidate.channel_id)
            if line is None:
                continue
            asked = self._question(offer, candidate, line, body, document)
            if asked is None:
                continue
            path, question, spoken = asked
            headers = [pair for pair in exchange.headers if pair[0] in _HEADERS]
            headers += [(b"content-type", b"application/json"), *line.credentials]
            if exchange.header(b"anthropic-version") is None:
                headers.append((b"anthropic-version", b"2023-06-01"))
            try:
                answer = await self._upstream.send(
                    line.target,
                    method="POST",
                    path=line.base_path + path,
                    headers=headers,
                    body=question,
                    timeouts=self._timeouts,
                )
                counted = await answer.read(_ANSWER_BYTES_MAX)
                if answer.status == 200:
                    return CODECS[spoken].decode_count_response(counted)
            except (UpstreamError, codecs.MalformedUpstream) as fault:
                log.warning("the provider did not count", channel=candidate.channel_name, fault=type(fault).__name__)
        return None

    def _question(
        self, offer: Offer, candidate: Candidate, line: Line, body: bytes, document: dict[str, object]
    ) -> tuple[str, bytes, str] | None:
        """(path, body, dialect) that asks this channel to count; None where its dialect cannot."""
        client = ANTHROPIC_MESSAGES.codec
        spoken = upstream_dialect(candidate.kind, ANTHROPIC_MESSAGES.name)
        if spoken is None or client is None:
            return None
        codec = CODECS[spoken]
        path = codec.count_path(candidate.model_upstream)
        if not path:
            return None
        if spoken == ANTHROPIC_MESSAGES.name:
            if candidate.model_upstream != offer.name:
                body = replace_members(body, {"model": msgspec.json.encode(candidate.model_upstream)})
            return path, body, spoken
        issuer = issuer_of(line)
        target = codecs.Target(
            model=candidate.model_upstream,
            origin=Origin(dialect=codec.name, issuer=issuer),
            quirks=quirks_of(spoken, candidate.model_upstream, provider_of(line), offer.model.output_tokens_max),
        )
        try:
            encoded = codec.encode_count_request(client.decode_request(document), target)
        except codecs.UntranslatableRequest:
            return None
        return None if encoded is None else (path, encoded.body, spoken)
