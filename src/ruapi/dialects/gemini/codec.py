"""The codec of this dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.dialects.dialect import MalformedUpstream, parse_object, quoted
from ruapi.dialects.gemini import errors, request, response
from ruapi.dialects.gemini.stream import GeminiStreamDecoder, GeminiStreamEncoder
from ruapi.dialects.gemini.wire import without_model_prefix
from ruapi.dialects.passage import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruapi.canon.events import ErrorReport
    from ruapi.canon.parts import DialectName
    from ruapi.canon.request import Request
    from ruapi.canon.response import Response
    from ruapi.dialects.dialect import (
        ClientContext,
        Dialect,
        Encoded,
        EncodedRequest,
        StreamDecoder,
        StreamEncoder,
        Target,
        UpstreamContext,
    )
    from ruapi.errors import Problem


class GeminiDialect:
    """Gemini generateContent and streamGenerateContent, on both sides of the gateway."""

    __slots__ = ()

    @property
    def name(self) -> DialectName:
        """Its name in configuration and origins."""
        return "gemini"

    def decode_request(
        self, body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None
    ) -> Request:
        """The request in a body; model and stream come from the path."""
        return request.decode_request(body, model=model, stream=stream)

    def encode_request(self, request_: Request, target: Target) -> EncodedRequest:
        """The body for this upstream."""
        return request.encode_request(request_, target)

    def request_path(self, model: str, *, stream: bool) -> str:
        """Path and query; https://ai.google.dev/api/generate-content names both methods."""
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{quoted(without_model_prefix(model))}:{method}"

    def decode_response(self, body: bytes, context: UpstreamContext) -> Response:
        """The answer in a body of status 200."""
        return response.decode_response(body, context)

    def encode_response(self, response_: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
        """The body of a whole answer to the client."""
        return response.encode_response(response_, context, cost_usd=cost_usd)

    def stream_decoder(self, context: UpstreamContext) -> StreamDecoder:
        """A decoder for one streamed answer."""
        return GeminiStreamDecoder(context)

    def stream_encoder(self, context: ClientContext) -> StreamEncoder:
        """An encoder for one streamed answer."""
        return GeminiStreamEncoder(context)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
        """The error in an answer of another status than 200."""
        return errors.decode_error(status, headers, body)

    def shape_error(self, problem: Problem, request_id: str) -> bytes:
        """What a client is told."""
        return errors.shape(problem, request_id)

    def encode_count_request(self, request_: Request, target: Target) -> EncodedRequest | None:
        """The body that asks this upstream to count."""
        return request.encode_count_request(request_, target)

    def count_path(self, model: str) -> str:
        """Path of the count (https://ai.google.dev/api/tokens)."""
        return f"/v1beta/models/{quoted(without_model_prefix(model))}:countTokens"

    def decode_count_response(self, body: bytes) -> int:
        """``totalTokens``, which is left out when it is 0."""
        found = parse_object(body, MalformedUpstream)
        count = count_of(found.get("totalTokens", 0))
        if count is None:
            raise MalformedUpstream("The provider's totalTokens is not a count.")
        return count

    def encode_count_response(self, input_tokens: int) -> bytes:
        """The body that tells a client the count."""
        return msgspec.json.encode({"totalTokens": input_tokens})


CODEC: Dialect = GeminiDialect()
"""The one instance; it has no state."""
