"""llama-index's own agent on its OpenAI-like and its Anthropic model, and both streaming a chat."""

from __future__ import annotations

from typing import Any

from job import QUESTION, SYSTEM, Target, play
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai_like import OpenAILike


def openai_like(target: Target) -> Any:
    return OpenAILike(
        model=target.model,
        api_base=target.openai_base_url,
        api_key=target.key,
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=100_000,
        max_tokens=target.output_tokens_max,
        max_retries=0,
    )


def anthropic(target: Target) -> Any:
    class AnyModel(Anthropic):
        """Anthropic's class knows the context of Anthropic's models only."""

        @property
        def metadata(self) -> Any:
            known = Anthropic.model_construct(model="claude-sonnet-4-20250514", max_tokens=self.max_tokens)
            return Anthropic.metadata.fget(known).model_copy(update={"model_name": self.model})  # type: ignore[attr-defined]

    return AnyModel(
        model=target.model,
        base_url=target.base_url,
        api_key=target.key,
        max_tokens=target.output_tokens_max,
        max_retries=0,
    )


async def converse(target: Target, model: Any) -> Any:
    if not target.with_tools:
        answer = await model.achat([ChatMessage(role="system", content=SYSTEM), ChatMessage(content=QUESTION)])
        return {"text": answer.message.content}
    tools = [FunctionTool.from_defaults(target.weather), FunctionTool.from_defaults(target.clock)]
    agent = FunctionAgent(tools=tools, llm=model, system_prompt=SYSTEM, timeout=60, streaming=True)
    answer = await agent.run(QUESTION)
    return {"text": answer.response.content}


def stream(model: Any) -> Any:
    pieces = model.stream_chat([ChatMessage(role="system", content=SYSTEM), ChatMessage(content=QUESTION)])
    return {"text": [piece.message.content for piece in pieces][-1]}


play(
    {
        "agent openai-like": lambda target: converse(target, openai_like(target)),
        "agent anthropic": lambda target: converse(target, anthropic(target)),
        "stream openai-like": lambda target: stream(openai_like(target)),
        "stream anthropic": lambda target: stream(anthropic(target)),
    }
)
