"""langchain-anthropic with thinking, invoked and streamed."""

from __future__ import annotations

import functools
from typing import Any

from job import QUESTION, SYSTEM, Target, play
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool


def converse(target: Target, *, stream: bool) -> Any:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2_000}} if target.with_tools else {}
    model = ChatAnthropic(
        model=target.model,
        base_url=target.base_url,
        api_key=target.key,
        max_tokens=target.output_tokens_max,
        max_retries=0,
        **thinking,
    )
    tools = [StructuredTool.from_function(target.weather), StructuredTool.from_function(target.clock)]
    bound = model.bind_tools(tools) if target.with_tools else model
    history: list[Any] = [SystemMessage(SYSTEM), HumanMessage(QUESTION)]
    while True:
        if stream:
            chunks = list(bound.stream(history))
            message = functools.reduce(lambda left, right: left + right, chunks)
        else:
            message = bound.invoke(history)
        history.append(message)
        if not message.tool_calls:
            usage = message.usage_metadata
            return {"text": message.text, "tokens": [usage["input_tokens"], usage["output_tokens"]]}
        history += [
            ToolMessage(target.run(each["name"], each["args"]), tool_call_id=each["id"]) for each in message.tool_calls
        ]


play(
    {
        "messages": lambda target: converse(target, stream=False),
        "messages stream": lambda target: converse(target, stream=True),
    }
)
