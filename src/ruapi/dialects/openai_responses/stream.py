"""Streamed answers, both ways."""

from __future__ import annotations

from ruapi.dialects.openai_responses.stream_decoder import StreamDecoder
from ruapi.dialects.openai_responses.stream_encoder import StreamEncoder

__all__ = ["StreamDecoder", "StreamEncoder"]
