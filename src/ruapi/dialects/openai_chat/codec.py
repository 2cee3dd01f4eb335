"""The codec of OpenAI Chat Completions, put together (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruapi.canon.events import ErrorReport
from ruapi.canon.parts import DialectName
from ruapi.canon.request import Request
from ruapi.canon.response import Response
from ruapi.dialects.dialect import (
    ClientContext,
    Dialect,
    Encoded,
    EncodedRequest,
    MalformedUpstream,
    Target,
    UpstreamContext,
)
from ruapi.dialects.openai_chat import errors
from ruapi.dialects.openai_chat.request import decode_request, encode_request
from ruapi.dialects.openai_chat.response import decode_response, encode_response
from ruapi.dialects.openai_chat.stream import StreamDecoder, StreamEncoder
from ruapi.errors import Problem


class ChatCodec:
    """Chat Completions as every other dialect sees it."""

    __slots__ = ()

    name: DialectName = "openai_chat"

    def decode_request(
        self, body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None
    ) -> Request:
        """The request in a body. Model and stream stand in it, not in the path."""
        return decode_request(body, model=model, stream=stream)

    def encode_request(self, request: Request, target: Target) -> EncodedRequest:
        """The body for this upstream."""
        return encode_request(request, target)

    def request_path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002  the model is in the body
        """Path behind the channel's base URL."""
        return "/chat/completions"

    def decode_response(self, body: bytes, context: UpstreamContext) -> Response:
        """The answer in a body of status 200."""
        return decode_response(body, context)

    def encode_response(self, response: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
        """The body of a whole answer."""
        return encode_response(response, context, cost_usd=cost_usd)

    def stream_decoder(self, context: UpstreamContext) -> StreamDecoder:
        """A decoder for one streamed answer."""
        return StreamDecoder(context)

    def stream_encoder(self, context: ClientContext) -> StreamEncoder:
        """An encoder for one streamed answer."""
        return StreamEncoder(context)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
        """The error in an answer of another status than 200. Never raises."""
        return errors.decode_error(status, headers, body)

    def shape_error(self, problem: Problem, request_id: str) -> bytes:
        """What a client is told."""
        return errors.shape(problem, request_id)

    def encode_count_request(self, request: Request, target: Target) -> EncodedRequest | None:  # noqa: ARG002
        """Chat has no way to count beforehand."""
        return None

    def count_path(self, model: str) -> str:  # noqa: ARG002
        """Chat has no way to count beforehand."""
        return ""

    def decode_count_response(self, body: bytes) -> int:  # noqa: ARG002
        """Chat has no way to count beforehand, so nothing can be such an answer."""
        raise MalformedUpstream("Chat Completions does not count tokens beforehand.")

    def encode_count_response(self, input_tokens: int) -> bytes:
        """The count under a plain name, since the vendor has none."""
        return b'{"input_tokens":%d}' % input_tokens


CODEC: Dialect = ChatCodec()
