"""Talking to providers: a pool of HTTP/1.1 connections behind an interface, and a guard on addresses."""

from __future__ import annotations

from ruapi.upstream.address_guard import check_address, check_url, split_url
from ruapi.upstream.http import HTTPUpstream
from ruapi.upstream.interface import (
    AddressRefused,
    Answer,
    AnswerTooLarge,
    Broken,
    ConnectFailed,
    NullUpstream,
    Saturated,
    Target,
    TimedOut,
    Upstream,
    UpstreamError,
)
from ruapi.upstream.timeouts import Timeouts

__all__ = [
    "AddressRefused",
    "Answer",
    "AnswerTooLarge",
    "Broken",
    "ConnectFailed",
    "HTTPUpstream",
    "NullUpstream",
    "Saturated",
    "Target",
    "TimedOut",
    "Timeouts",
    "Upstream",
    "UpstreamError",
    "check_address",
    "check_url",
    "split_url",
]
