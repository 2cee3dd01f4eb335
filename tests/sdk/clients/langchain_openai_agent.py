"""langchain-openai over Chat Completions and over Responses, invoked and streamed."""

from __future__ import annotations

import functools
from typing import Any

from job import QUESTION, SYSTEM, Target, play
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI


def converse(target: Target, *, responses: bool, stream: bool) -> Any:
    settings: dict[str, Any] = {
        "use_responses_api": responses,
        "max_tokens": target.output_tokens_max,
        "max_retries": 0,
    }
    if not responses:
        settings |= {"stream_usage": True}
    elif target.with_tools:
        settings |= {"reasoning": {"effort": "high", "summary": "auto"}, "output_version": "responses/v1"}
        settings |= {"include": ["reasoning.encrypted_content"], "store": False}
    model = ChatOpenAI(model=target.model, base_url=target.openai_base_url, api_key=target.key, **settings)
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
        "chat": lambda target: converse(target, responses=False, stream=False),
        "chat stream": lambda target: converse(target, responses=False, stream=True),
        "responses": lambda target: converse(target, responses=True, stream=False),
        "responses stream": lambda target: converse(target, responses=True, stream=True),
    }
)
