"""Requests, both ways."""

from __future__ import annotations

from ruapi.dialects.openai_responses.request_reader import decode_request
from ruapi.dialects.openai_responses.request_writer import encode_count_request, encode_request

__all__ = ["decode_request", "encode_count_request", "encode_request"]
