"""Requests of Chat Completions, both ways (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from ruapi.dialects.openai_chat.request_reading import decode_request
from ruapi.dialects.openai_chat.request_writing import encode_request

__all__ = ["decode_request", "encode_request"]
