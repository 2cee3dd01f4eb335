"""Trying a channel outside of any running server."""

from __future__ import annotations

import asyncio

from ruapi.administration.channels import Probe
from ruapi.gateway.probe import probe
from ruapi.settings import Settings
from ruapi.storage.records import Channel
from ruapi.upstream import Timeouts
from ruapi.upstream.http import HTTPUpstream


def upstream_timeouts(settings: Settings) -> Timeouts:
    """The settings as the upstream client takes them."""
    return Timeouts(
        connect_ms=settings.connect_timeout_ms,
        first_byte_ms=settings.first_byte_timeout_ms,
        idle_ms=settings.idle_timeout_ms,
    )


def probe_channel(settings: Settings, channel: Channel, secret: str, model: str) -> Probe:
    """Send a tiny request through a channel, paused or not."""

    async def ask() -> Probe:
        upstream = HTTPUpstream(connections_max=1)
        try:
            return await probe(upstream, channel, secret, model, upstream_timeouts(settings))
        finally:
            await upstream.close()

    return asyncio.run(ask())
