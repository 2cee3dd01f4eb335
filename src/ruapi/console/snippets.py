"""What people paste to call the gateway: commands, programs and settings, with their own base URL, key and model.

Every value is quoted by the rules of the language that it stands in, so a name with quotes, dollars or
backslashes stays a name. Pages escape the text once more for HTML; nothing here does.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ruapi.storage.records import LogRow

KEY_PLACEHOLDER = "sk-ruapi_…"
"""Stands where a key goes. The character at its end is in no key, so it cannot be taken for one."""
MODEL_PLACEHOLDER = "your-model"
KEY_VARIABLE = "RUAPI_KEY"
QUESTION = "Say hello in one sentence."

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DOTENV_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/@%+,[]…")
_ANTHROPIC_VERSION = "anthropic-version: 2023-06-01"
_OUTPUT_TOKENS_MAX = 200


class Snippet(NamedTuple):
    """One text to copy. ``language`` is what highlighters call it: ``sh``, ``python``, ``javascript``, ``toml``."""

    id: str
    title: str
    language: str
    text: str


class Endpoint(NamedTuple):
    """Where a dialect's calls go, and the least that its body must hold besides the model."""

    path: str
    body: dict[str, Any]
    headers: tuple[str, ...] = ()


class Asked(NamedTuple):
    """What a call asks of its model: an example, or what somebody wrote."""

    message: str = QUESTION
    system: str = ""
    output_tokens_max: int | None = None
    temperature: float | None = None

    def messages(self, *, with_system: bool = True) -> list[dict[str, str]]:
        """The conversation; Anthropic's dialect has the system prompt beside it."""
        system = [{"role": "system", "content": self.system}] if self.system and with_system else []
        return [*system, {"role": "user", "content": self.message}]

    def numbers(self) -> dict[str, int | float]:
        """The parameters of Chat Completions that were set."""
        given = {"max_completion_tokens": self.output_tokens_max, "temperature": self.temperature}
        return {name: number for name, number in given.items() if number is not None}


EXAMPLE = Asked()
_MESSAGES = [{"role": "user", "content": QUESTION}]
ENDPOINTS: dict[str, Endpoint] = {
    "openai_chat": Endpoint("/v1/chat/completions", {"messages": _MESSAGES}),
    "openai_responses": Endpoint("/v1/responses", {"input": QUESTION}),
    "anthropic_messages": Endpoint(
        "/v1/messages", {"max_tokens": _OUTPUT_TOKENS_MAX, "messages": _MESSAGES}, (_ANTHROPIC_VERSION,)
    ),
    "openai_embeddings": Endpoint("/v1/embeddings", {"input": "A sentence to place among others."}),
}
COUNT_TOKENS = Endpoint("/v1/messages/count_tokens", {"messages": _MESSAGES}, (_ANTHROPIC_VERSION,))


def snippets(base_url: str, model: str, key: str = KEY_PLACEHOLDER, *, asked: Asked = EXAMPLE) -> list[Snippet]:
    """How each tool is pointed at this gateway. ``base_url`` has no ``/v1``; ``key`` is the real one at its reveal.

    The programs ask what ``asked`` says; tools such as Claude Code are only set up.
    """
    origin = base_url.rstrip("/")
    api = f"{origin}/v1"
    return [
        Snippet("curl", "curl", "sh", _curl(_chat(asked), origin, model, key=key, stream=False)),
        Snippet("python", "Python (openai)", "python", _python_openai(api, model, key, asked)),
        Snippet("python-anthropic", "Python (anthropic)", "python", _python_anthropic(origin, model, key, asked)),
        Snippet("javascript", "JavaScript (openai)", "javascript", _javascript_openai(api, model, key, asked)),
        Snippet("claude-code", "Claude Code", "sh", _claude_code(origin, model, key)),
        Snippet("codex", "Codex", "toml", _codex(api, model, key)),
        Snippet("cursor", "Cursor", "text", _cursor(origin, model, key)),
        Snippet("open-webui", "Open WebUI", "sh", _open_webui(origin, key)),
    ]


def env_file(base_url: str, key: str = KEY_PLACEHOLDER) -> str:
    """The content of a ``.env`` file that the SDKs of OpenAI and Anthropic, and Claude Code, read without more."""
    origin = base_url.rstrip("/")
    values = {
        "OPENAI_BASE_URL": f"{origin}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": origin,
        "ANTHROPIC_AUTH_TOKEN": key,
    }
    lines = [f"{name}={_in_dotenv(value)}" for name, value in values.items()]
    return "\n".join(["# ruapi. Keep this file out of Git.", *lines, ""])


def call(dialect: str, base_url: str, model: str, *, key: str | None = None, stream: bool = False) -> str:
    """A curl command for one call; without a key it reads the variable ``RUAPI_KEY``. An unknown dialect is Chat."""
    return _curl(ENDPOINTS.get(dialect, ENDPOINTS["openai_chat"]), base_url, model, key=key, stream=stream)


def count_tokens(base_url: str, model: str) -> str:
    """A curl command that counts the tokens of a message."""
    return _curl(COUNT_TOKENS, base_url, model, key=None, stream=False)


def check_key(base_url: str) -> str:
    """A curl command that asks what a key may do and what is left of it; it costs nothing."""
    return f'curl {shlex.quote(base_url.rstrip("/") + "/v1/key")} -H "Authorization: Bearer ${KEY_VARIABLE}"'


def copy_as_curl(row: LogRow, base_url: str) -> str:
    """The call of a log row as a command: its endpoint, model and stream flag.

    The key is read from ``RUAPI_KEY``, and the message is a placeholder: neither keys nor bodies are kept.
    """
    return call(row.client_dialect, base_url, row.model, stream=row.stream)


def _chat(asked: Asked) -> Endpoint:
    return Endpoint(ENDPOINTS["openai_chat"].path, {"messages": asked.messages(), **asked.numbers()})


def _curl(endpoint: Endpoint, base_url: str, model: str, *, key: str | None, stream: bool) -> str:
    body = {"model": model, **({"stream": True} if stream else {}), **endpoint.body}
    bearer = f'"Authorization: Bearer ${KEY_VARIABLE}"' if key is None else shlex.quote(f"Authorization: Bearer {key}")
    command = "curl -N" if stream else "curl"  # -N shows each event as it comes
    lines = [
        f"{command} {shlex.quote(base_url.rstrip('/') + endpoint.path)}",
        f"-H {bearer}",
        *(f"-H {shlex.quote(header)}" for header in endpoint.headers),
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(_in_json(body))}",
    ]
    return " \\\n  ".join(lines)


# --- programs -------------------------------------------------------------------------------------


def _python_openai(api: str, model: str, key: str, asked: Asked) -> str:
    return f"""\
# pip install openai
from openai import OpenAI

client = OpenAI(base_url={_in_python(api)}, api_key={_in_python(key)})
answer = client.chat.completions.create(
    model={_in_python(model)},
    messages={_python_messages(asked.messages())},
{_python_arguments(asked.numbers())})
print(answer.choices[0].message.content)"""


def _python_anthropic(origin: str, model: str, key: str, asked: Asked) -> str:
    # Newer releases of the package have no argument for it; the API takes it all the same.
    extra = "" if asked.temperature is None else f'    extra_body={{"temperature": {asked.temperature}}},\n'
    system = f"    system={_in_python(asked.system)},\n" if asked.system else ""
    return f"""\
# pip install anthropic
from anthropic import Anthropic

client = Anthropic(base_url={_in_python(origin)}, api_key={_in_python(key)})
answer = client.messages.create(
    model={_in_python(model)},
    max_tokens={_OUTPUT_TOKENS_MAX if asked.output_tokens_max is None else asked.output_tokens_max},
{system}    messages={_python_messages(asked.messages(with_system=False))},
{extra})
print("".join(block.text for block in answer.content if block.type == "text"))"""


def _python_messages(messages: list[dict[str, str]]) -> str:
    said = (f'{{"role": "{one["role"]}", "content": {_in_python(one["content"])}}}' for one in messages)
    return f"[{', '.join(said)}]"


def _python_arguments(numbers: Mapping[str, int | float]) -> str:
    return "".join(f"    {name}={number},\n" for name, number in numbers.items())


def _javascript_openai(api: str, model: str, key: str, asked: Asked) -> str:
    messages = ", ".join(
        f'{{ role: "{one["role"]}", content: {_in_javascript(one["content"])} }}' for one in asked.messages()
    )
    numbers = "".join(f"  {name}: {number},\n" for name, number in asked.numbers().items())
    return f"""\
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: {_in_javascript(api)},
  apiKey: {_in_javascript(key)},
}});
const answer = await client.chat.completions.create({{
  model: {_in_javascript(model)},
  messages: [{messages}],
{numbers}}});
console.log(answer.choices[0].message.content);"""


# --- tools ----------------------------------------------------------------------------------------


def _claude_code(origin: str, model: str, key: str) -> str:
    return f"""\
unset ANTHROPIC_API_KEY
export ANTHROPIC_BASE_URL={shlex.quote(origin)}
export ANTHROPIC_AUTH_TOKEN={shlex.quote(key)}
export ANTHROPIC_MODEL={shlex.quote(model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL={shlex.quote(model)}
claude"""


def _codex(api: str, model: str, key: str) -> str:
    return f"""\
# In ~/.codex/config.toml. Before you start codex, in the shell:
#   export {KEY_VARIABLE}={shlex.quote(_on_one_line(key))}
model = {_in_toml(model)}
model_provider = "ruapi"

[model_providers.ruapi]
name = "ruapi"
base_url = {_in_toml(api)}
env_key = "{KEY_VARIABLE}"
wire_api = "responses\""""


def _cursor(origin: str, model: str, key: str) -> str:
    lines = [
        "Cursor Settings > Models > API Keys",
        f"OpenAI API Key:            {_on_one_line(key)}",
        f"Override OpenAI Base URL:  {_on_one_line(origin)}/v1",
        f"Add model:                 {_on_one_line(model)}",
    ]
    if _is_loopback(origin):
        lines += ["", "Cursor calls from its own servers: they cannot reach this address, only a public one."]
    return "\n".join(lines)


def _open_webui(origin: str, key: str) -> str:
    # Inside a container the loopback address is the container's own, so it joins the host's network. There the
    # usual port 8080 may be the gateway's.
    network = ("--network=host -e PORT=3000",) if _is_loopback(origin) else ("-p 3000:8080",)
    lines = [
        "docker run -d --name open-webui",
        *network,
        f"-e OPENAI_API_BASE_URL={shlex.quote(origin + '/v1')}",
        f"-e OPENAI_API_KEY={shlex.quote(key)}",
        "-v open-webui:/app/backend/data",
        "ghcr.io/open-webui/open-webui:main",
    ]
    return " \\\n  ".join(lines)


def _is_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:
        return False


# --- quoting --------------------------------------------------------------------------------------


def _in_python(text: str) -> str:
    """A Python literal. JSON's is one too, but for pairs of surrogates, which only what cannot be printed needs."""
    literal = json.dumps(text, ensure_ascii=False)  # it writes line breaks as \n, which prints
    return literal if literal.isprintable() else ascii(text)


def _in_javascript(text: str) -> str:
    """A JavaScript literal."""
    return _in_json(text)


def _in_json(value: Any) -> str:
    """JSON on one line, with letters of all scripts as they are unless something cannot be printed."""
    literal = json.dumps(value, ensure_ascii=False)
    return literal if literal.isprintable() else json.dumps(value)


def _in_toml(text: str) -> str:
    """A basic string of TOML: JSON's escapes, but characters beyond 16 bits as they are, and no raw DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _in_dotenv(text: str) -> str:
    """A value that shells and the readers of ``.env`` files understand alike; quoted only where it must be."""
    return text if text and set(text) <= _DOTENV_PLAIN else shlex.quote(_on_one_line(text))


def _on_one_line(text: str) -> str:
    """The text without characters that could begin a line of their own."""
    return "".join(character if character.isprintable() else "?" for character in text)
