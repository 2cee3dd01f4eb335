"""Requests: ``GenerateContentRequest`` to and from the canonical form.

https://ai.google.dev/api/generate-content#request-body. The model and whether to stream stand in the path.
A field of ``generationConfig`` or ``toolConfig`` without canonical meaning is an extension under its path,
such as ``generationConfig.speechConfig``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.losses import LossRecorder, unsupported_field
from ruapi.canon.request import Request, ServiceTier, ToolNames
from ruapi.dialects.dialect import EncodedRequest, Target, UntranslatableRequest, parse_object
from ruapi.dialects.gemini.contents_decoder import ContentsDecoder
from ruapi.dialects.gemini.contents_encoder import ContentsEncoder
from ruapi.dialects.gemini.generation import decode_generation, encode_generation
from ruapi.dialects.gemini.tools import ToolsEncoder, decode_tool_config, decode_tools
from ruapi.dialects.gemini.wire import REQUEST, members, without_model_prefix

_TIERS: dict[str, ServiceTier] = {"standard": "standard", "flex": "flex", "priority": "priority"}
_READ = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model", "serviceTier"})


def decode_request(body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """The request in a body; ``UntranslatableRequest`` for anything that is none."""
    document = body if isinstance(body, dict) else parse_object(body, UntranslatableRequest)
    try:
        return _decode(members(document, "the body"), model, stream=bool(stream))
    except RecursionError:
        raise UntranslatableRequest("The body is nested too deeply.") from None


def _decode(document: dict[str, Any], model: str | None, *, stream: bool) -> Request:
    losses = LossRecorder()
    extensions = {name: value for name, value in document.items() if name not in _READ}
    contents = REQUEST.sequence(document.get("contents"), "contents")
    decoder = ContentsDecoder(losses)
    instructions = decoder.instructions(document.get("systemInstruction"))
    turns = decoder.turns(contents)
    if not turns:
        raise UntranslatableRequest("contents must hold at least one entry.", param="contents")
    if instructions is not None:
        turns.insert(0, instructions)
    tools = decode_tools(document.get("tools"), losses)
    choice, tools = decode_tool_config(document.get("toolConfig"), tools, extensions)
    generation = decode_generation(document.get("generationConfig"), extensions)
    tier = (REQUEST.text(document.get("serviceTier"), "serviceTier") or "").lower()
    if tier not in _TIERS and tier not in {"", "unspecified", "service_tier_unspecified"}:
        extensions["serviceTier"] = tier
    named = REQUEST.text(document.get("model"), "model") or ""
    return Request(
        model=without_model_prefix(model if model is not None else named),
        turns=tuple(turns),
        stream=stream,
        tools=tools,
        tool_choice=choice,
        service_tier=_TIERS.get(tier),
        dialect="gemini",
        extensions=extensions,
        losses=losses.found,
        **generation,
    )


def encode_request(request: Request, target: Target) -> EncodedRequest:
    """The body for this upstream."""
    body, names, losses = _encode(request, target)
    return EncodedRequest(body=msgspec.json.encode(body), tool_names=names, losses=losses.found)


def encode_count_request(request: Request, target: Target) -> EncodedRequest:
    """The body of ``countTokens`` that counts instructions and tools too.

    https://ai.google.dev/api/tokens#method:-models.counttokens
    """
    body, names, losses = _encode(request, target)
    counted = {"generateContentRequest": {"model": f"models/{without_model_prefix(target.model)}", **body}}
    return EncodedRequest(body=msgspec.json.encode(counted), tool_names=names, losses=losses.found)


def _encode(request: Request, target: Target) -> tuple[dict[str, Any], ToolNames, LossRecorder]:
    losses = LossRecorder()
    for found in request.losses:
        losses.note(found)
    names = ToolNames(request, length_max=target.quirks.tool_name_length_max)
    body: dict[str, Any] = {}
    instructions, contents = ContentsEncoder(request, target, names, losses).encode()
    if instructions is not None:
        body["systemInstruction"] = instructions
    body["contents"] = contents
    tools, config = ToolsEncoder(request, target.quirks, names, losses).encode()
    if tools:
        body["tools"] = tools
    if config:
        body["toolConfig"] = config
    if names.renamed:
        losses.add("tool_name")
    generation = encode_generation(request, target.quirks, losses)
    if generation:
        body["generationConfig"] = generation
    _encode_rest(request, losses, body)
    return body, names, losses


def _encode_rest(request: Request, losses: LossRecorder, body: dict[str, Any]) -> None:
    tier = request.service_tier
    if tier in _TIERS:
        body["serviceTier"] = tier
    elif tier not in {None, "auto"}:
        losses.add("service_tier", detail=tier)
    if request.cache is not None:
        losses.add("cache_mark")
    for field in ("verbosity", "end_user", "metadata", "prompt_cache_key"):
        if getattr(request, field) is not None:
            losses.add(field)
    for name, value in request.extensions.items():
        if request.dialect != "gemini":
            losses.note(unsupported_field(name, detail=value))
            continue
        holder = body
        *path, last = name.split(".") if name.startswith(("generationConfig.", "toolConfig.")) else (name,)
        for step in path:
            holder = holder.setdefault(step, {})
        holder.setdefault(last, value)
