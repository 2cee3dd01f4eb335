"""``/api/v1/channels``: providers' endpoints, for administrators. Secrets go in and never come out."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter

from ruapi.administration import channels
from ruapi.management.parameters import ChannelInPath
from ruapi.management.schemas.channels import (
    ChannelCreated,
    ChannelCreation,
    ChannelEdit,
    ChannelList,
    ChannelRow,
    ChannelTest,
    ProbeAnswer,
)
from ruapi.management.visit import AdministratorVisit

router = APIRouter(prefix="/channels", tags=["Channels"])


@router.get("", response_model=ChannelList, summary="List channels")
def list_channels(visit: AdministratorVisit) -> Any:
    """All of them, by name."""
    return {"data": [channels.describe(channel) for channel in visit.store.list_channels()]}


@router.post("", response_model=ChannelCreated, status_code=201, summary="Add a channel")
def add_channel(visit: AdministratorVisit, body: ChannelCreation) -> Any:
    """Used at once for the models that it names. Try it with test."""
    warnings: list[str] = []
    channel = channels.add(
        visit.store,
        visit.parts.sealer,
        name=body.name,
        kind=body.kind,
        base_url=body.base_url,
        secret=body.secret,
        models=body.models,
        priority=body.priority,
        weight=body.weight,
        allow_private_address=body.allow_private_address,
        now=visit.now,
        warn=warnings.append,
    )
    return {**channels.describe(channel), "warnings": warnings}


@router.get("/{channel_id}", response_model=ChannelRow, summary="Show a channel")
def show_channel(visit: AdministratorVisit, channel_id: ChannelInPath) -> Any:
    """Without its secret."""
    return channels.describe(visit.channel(channel_id))


@router.patch("/{channel_id}", response_model=ChannelCreated, summary="Edit a channel")
def edit_channel(visit: AdministratorVisit, channel_id: ChannelInPath, body: ChannelEdit) -> Any:
    """Counts from the next call on. The log keeps the former name."""
    warnings: list[str] = []
    channel = channels.edit(
        visit.store,
        visit.parts.sealer,
        visit.channel(channel_id),
        name=body.name,
        base_url=body.base_url,
        secret=body.secret,
        models=body.models,
        priority=body.priority,
        weight=body.weight,
        allow_private_address=body.allow_private_address,
        warn=warnings.append,
    )
    return {**channels.describe(channel), "warnings": warnings}


@router.post("/{channel_id}/pause", response_model=ChannelRow, summary="Pause a channel")
def pause_channel(visit: AdministratorVisit, channel_id: ChannelInPath) -> Any:
    """Sends nothing through it until it is resumed."""
    return channels.describe(channels.pause(visit.store, visit.channel(channel_id)))


@router.post("/{channel_id}/resume", response_model=ChannelRow, summary="Resume a channel")
def resume_channel(visit: AdministratorVisit, channel_id: ChannelInPath) -> Any:
    """Uses a paused channel again."""
    return channels.describe(channels.resume(visit.store, visit.channel(channel_id)))


@router.post("/{channel_id}/test", response_model=ProbeAnswer, summary="Test a channel")
def try_channel(visit: AdministratorVisit, channel_id: ChannelInPath, body: ChannelTest | None = None) -> Any:
    """Sends a tiny real request, for which the provider may charge. A failure is an answer with ok false."""
    probe = channels.test(
        visit.parts.sealer,
        visit.channel(channel_id),
        model=body.model if body else None,
        prober=visit.parts.prober,
    )
    return msgspec.structs.asdict(probe)


@router.delete("/{channel_id}", response_model=ChannelRow, summary="Remove a channel")
def remove_channel(visit: AdministratorVisit, channel_id: ChannelInPath) -> Any:
    """Forgets it and its secret. The log keeps its name."""
    channel = visit.channel(channel_id)
    channels.remove(visit.store, channel)
    return channels.describe(channel)
