"""The codec of Anthropic Messages, as ``Dialect`` wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.parts import DialectName
from ruapi.dialects.anthropic_messages import errors, request, response
from ruapi.dialects.anthropic_messages.stream import StreamDecoder
from ruapi.dialects.anthropic_messages.stream_writing import StreamEncoder
from ruapi.dialects.anthropic_messages.usage import COUNT_MAX
from ruapi.dialects.anthropic_messages.wire import OWN
from ruapi.dialects.dialect import (
    ClientContext,
    Encoded,
    EncodedRequest,
    MalformedUpstream,
    Target,
    UpstreamContext,
    parse_object,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruapi.canon.events import ErrorReport
    from ruapi.canon.request import Request
    from ruapi.canon.response import Response
    from ruapi.dialects.dialect import Dialect
    from ruapi.errors import Problem


class AnthropicMessages:
    """https://platform.claude.com/docs/en/api/messages, both ways."""

    @property
    def name(self) -> DialectName:
        """Its name in configuration and origins."""
        return OWN

    def decode_request(
        self, body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None
    ) -> Request:
        """The request in a body, of ``/v1/messages`` or ``/v1/messages/count_tokens``."""
        return request.decode_request(body, model=model, stream=stream)

    def encode_request(self, request_: Request, target: Target) -> EncodedRequest:
        """The body for this upstream."""
        return request.encode_request(request_, target)

    def request_path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - both are in the body
        """Path behind the channel's base URL."""
        return "/v1/messages"

    def decode_response(self, body: bytes, context: UpstreamContext) -> Response:
        """The answer in a body of status 200."""
        return response.decode_response(body, context)

    def encode_response(self, answer: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
        """The body of a whole answer to the client."""
        return response.encode_response(answer, context, cost_usd=cost_usd)

    def stream_decoder(self, context: UpstreamContext) -> StreamDecoder:
        """A decoder for one streamed answer."""
        return StreamDecoder(context)

    def stream_encoder(self, context: ClientContext) -> StreamEncoder:
        """An encoder for one streamed answer."""
        return StreamEncoder(context)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
        """The error in an answer of another status than 200."""
        return errors.decode_error(status, headers, body)

    def shape_error(self, problem: Problem, request_id: str) -> bytes:
        """What a client is told."""
        return errors.shape(problem, request_id)

    def encode_count_request(self, request_: Request, target: Target) -> EncodedRequest | None:
        """The body that asks this upstream to count."""
        return request.encode_count_request(request_, target)

    def count_path(self, model: str) -> str:  # noqa: ARG002 - it is in the body
        """Path below the channel's base URL for it."""
        return "/v1/messages/count_tokens"

    def decode_count_response(self, body: bytes) -> int:
        """How many input tokens the upstream counted."""
        counted = parse_object(body, MalformedUpstream).get("input_tokens")
        if type(counted) is not int or not 0 <= counted < COUNT_MAX:
            raise MalformedUpstream("the count of tokens is missing")
        return counted

    def encode_count_response(self, input_tokens: int) -> bytes:
        """The body that tells a client the count."""
        return msgspec.json.encode({"input_tokens": input_tokens})


CODEC: Dialect = AnthropicMessages()
