"""pydantic-ai's agent over all three protocols, run and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

from job import QUESTION, SYSTEM, Target, play
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider


def model_of(target: Target, protocol: str) -> Any:
    if protocol == "messages":
        provider = AnthropicProvider(api_key=target.key, base_url=target.base_url)
        return AnthropicModel(target.model, provider=provider)
    openai = OpenAIProvider(api_key=target.key, base_url=target.openai_base_url)
    return (OpenAIChatModel if protocol == "chat" else OpenAIResponsesModel)(target.model, provider=openai)


async def converse(target: Target, protocol: str, *, stream: bool) -> Any:
    tools = [target.weather, target.clock] if target.with_tools else []
    settings: Any = {"max_tokens": target.output_tokens_max}
    if target.with_tools:
        settings["thinking"] = "high"
    agent = Agent(model_of(target, protocol), instructions=SYSTEM, tools=tools, model_settings=settings)
    pieces: list[Any] = []

    async def listen(_: Any, events: AsyncIterable[Any]) -> None:
        pieces.extend([event async for event in events])

    run = await agent.run(QUESTION, event_stream_handler=listen if stream else None)
    assert bool(pieces) == stream
    return {"text": run.output, "tokens": [run.usage.input_tokens, run.usage.output_tokens]}


play(
    {
        f"{protocol}{' stream' * stream}": lambda target, protocol=protocol, stream=stream: converse(
            target, protocol, stream=bool(stream)
        )
        for protocol in ("chat", "responses", "messages")
        for stream in (0, 1)
    }
)
