"""The codec of the Responses dialect; the rules it keeps are in ``ruapi.dialects.dialect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ruapi.canon.parts import DialectName
from ruapi.dialects.dialect import MalformedUpstream, parse_object
from ruapi.dialects.openai_responses import errors, request, response
from ruapi.dialects.openai_responses.stream import StreamDecoder, StreamEncoder
from ruapi.dialects.openai_responses.wire import DIALECT, Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ruapi.canon.events import ErrorReport
    from ruapi.canon.request import Request
    from ruapi.canon.response import Response
    from ruapi.dialects.dialect import (
        ClientContext,
        Dialect,
        Encoded,
        EncodedRequest,
        Target,
        UpstreamContext,
    )
    from ruapi.errors import Problem


class ResponsesCodec:
    """One wire format, both ways, on both sides of the gateway."""

    @property
    def name(self) -> DialectName:
        """Its name in configuration and origins."""
        return DIALECT

    def decode_request(
        self, body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None
    ) -> Request:
        """The request in a body."""
        return request.decode_request(body, model=model, stream=stream)

    def encode_request(self, request_: Request, target: Target) -> EncodedRequest:
        """The body for this upstream."""
        return request.encode_request(request_, target)

    def request_path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - both are in the body
        """Path behind the channel's base URL."""
        return "/responses"

    def decode_response(self, body: bytes, context: UpstreamContext) -> Response:
        """The answer in a body of status 200."""
        return response.decode_response(body, context)

    def encode_response(self, response_: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
        """The body of a whole answer to the client."""
        return response.encode_response(response_, context, cost_usd=cost_usd)

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
        """The body of an error answer."""
        return errors.shape(problem, request_id)

    def encode_count_request(self, request_: Request, target: Target) -> EncodedRequest | None:
        """The body that asks this upstream to count."""
        return request.encode_count_request(request_, target)

    def count_path(self, model: str) -> str:  # noqa: ARG002 - it is in the body
        """https://platform.openai.com/docs/api-reference/responses/input-tokens."""
        return "/responses/input_tokens"

    def decode_count_response(self, body: bytes) -> int:
        """How many input tokens the upstream counted."""
        fields = Fields(parse_object(body, MalformedUpstream), "", MalformedUpstream)
        found = fields.count("input_tokens")
        if found is None:
            raise fields.wrong("input_tokens", "a whole number")
        return found

    def encode_count_response(self, input_tokens: int) -> bytes:
        """The body that tells a client the count."""
        return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": input_tokens})


CODEC: Dialect = ResponsesCodec()
