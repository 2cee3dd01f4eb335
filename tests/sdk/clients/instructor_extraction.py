"""instructor: an object of a declared type, by tool call and by JSON schema, from OpenAI's and Anthropic's clients."""

from __future__ import annotations

from typing import Any

import anthropic
import instructor
import openai
from job import Target, play
from pydantic import BaseModel


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


ASKED: dict[str, Any] = {
    "response_model": Person,
    "messages": [{"role": "user", "content": "Ada is 36 years old."}],
    "max_retries": 0,
}


def over_chat(target: Target, mode: instructor.Mode) -> Any:
    sdk = openai.OpenAI(base_url=target.openai_base_url, api_key=target.key, max_retries=0)
    return instructor.from_openai(sdk, mode=mode).create(model=target.model, **ASKED).model_dump()


def over_chat_partially(target: Target) -> Any:
    sdk = openai.OpenAI(base_url=target.openai_base_url, api_key=target.key, max_retries=0)
    client = instructor.from_openai(sdk, mode=instructor.Mode.TOOLS)
    asked = {name: value for name, value in ASKED.items() if name != "response_model"}
    return [each.model_dump() for each in client.create_partial(response_model=Person, model=target.model, **asked)][-1]


def over_messages(target: Target, mode: instructor.Mode) -> Any:
    sdk = anthropic.Anthropic(base_url=target.base_url, api_key=target.key, max_retries=0)
    client = instructor.from_anthropic(sdk, mode=mode)
    return client.create(model=target.model, max_tokens=target.output_tokens_max, **ASKED).model_dump()


play(
    {
        "tool chat": lambda target: over_chat(target, instructor.Mode.TOOLS),
        "tool chat stream": over_chat_partially,
        "tool messages": lambda target: over_messages(target, instructor.Mode.ANTHROPIC_TOOLS),
        "schema chat": lambda target: over_chat(target, instructor.Mode.JSON_SCHEMA),
    }
)
