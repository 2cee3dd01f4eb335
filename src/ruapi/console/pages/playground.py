"""The Playground: a conversation through an ordinary key, with the same limits, holds, charges and log rows.

::

    form ──► draft (checked) ──► parts.call_as(key, openai_chat, body) ──► a stream, passed on as it comes
                                                                     └──► a whole page, without JavaScript

The script of the page asks for ``text/event-stream`` and reads the stream itself. Whoever sends the form without it
gets the page again, with the whole answer in it. Leaving, or Stop, ends the call upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ruapi.administration.parts import CallAnswer
from ruapi.console import snippets
from ruapi.console.forms import Form
from ruapi.console.gate import get, post
from ruapi.console.shelf import shelf
from ruapi.console.visit import Visit
from ruapi.errors import InvalidInput
from ruapi.money import TOKENS_PER_RATE, divide_up, format_usd
from ruapi.policy.model_access import allows
from ruapi.storage.records import Key, KeyFilter

log = structlog.get_logger("ruapi.console.playground")

SECTION = "playground"
DIALECT = "openai_chat"
KEYS_MAX = 100
MODELS_MAX = 500
TURNS_MAX = 200
OUTPUT_TOKENS_MAX = 1_000_000
ANSWER_BYTES_MAX = 8 * 1024 * 1024
_BYTES_A_TOKEN = 4
"""For the running estimate only; the exact figure comes with the end of the answer."""

_STREAM = "text/event-stream"
_LEFT = 499
"""The status for nobody, as nginx has it in its logs."""
_PASSED = frozenset({"content-type", "retry-after", "x-request-id", "x-should-retry"})
_TEMPERATURE = re.compile(r"(?:[01](?:\.\d{1,3})?|2(?:\.0{1,3})?)")


class Turn(msgspec.Struct, frozen=True):
    """One message of the conversation."""

    role: str
    content: str


_read_turns = msgspec.json.Decoder(list[Turn]).decode


class Draft(msgspec.Struct, kw_only=True):
    """What the form asks for."""

    key: Key
    model: str
    system: str
    turns: list[Turn]
    output_tokens_max: int | None
    temperature: float | None
    stream: bool

    def body(self) -> bytes:
        """The request as the API takes it."""
        messages = [*([Turn("system", self.system)] if self.system else []), *self.turns]
        document: dict[str, Any] = {"model": self.model, "messages": messages}
        if self.output_tokens_max is not None:
            document["max_completion_tokens"] = self.output_tokens_max
        if self.temperature is not None:
            document["temperature"] = self.temperature
        if self.stream:
            document |= {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode(document)


# --- reading the form ---------------------------------------------------------------------------------


def usable_keys(visit: Visit) -> list[Key]:
    """The newest of a person's keys that have not been stopped. A key at its limit is among them: the API says so."""
    rows = visit.store.page_keys(KeyFilter(user_id=visit.me.id), now=visit.now, limit=KEYS_MAX)
    return [row.key for row in rows if _is_usable(row.key, visit.now)]


def _is_usable(key: Key, now: int) -> bool:
    return key.status == "active" and (key.expires_at is None or now < key.expires_at)


def _read_draft(visit: Visit, *, stream: bool) -> Draft | None:
    """The form as a call; None when ``visit.form.errors`` says what is wrong."""
    form, key, output_tokens_max, temperature = visit.form, None, None, None
    turns: list[Turn] = []
    with form.field("key"):
        key = _own_key(visit, form.text("key"))
    with form.field("model"):
        if not form.text("model"):
            raise InvalidInput("choose a model")
    with form.field("message"):
        turns = _read_conversation(form.text("messages"), form.text("message"))
    with form.field("max_tokens"):
        output_tokens_max = _read_output_tokens_max(form)
    with form.field("temperature"):
        temperature = _read_temperature(form)
    if form.errors or key is None:
        return None
    return Draft(
        key=key,
        model=form.text("model"),
        system=form.text("system"),
        turns=turns,
        output_tokens_max=output_tokens_max,
        temperature=temperature,
        stream=stream,
    )


def _read_output_tokens_max(form: Form) -> int | None:
    number = form.number("max_tokens")
    if number is not None and not 1 <= number <= OUTPUT_TOKENS_MAX:
        raise InvalidInput(f"write a number from 1 to {OUTPUT_TOKENS_MAX:,}")
    return number


def _read_temperature(form: Form) -> float | None:
    text = form.text("temperature")
    if text and not _TEMPERATURE.fullmatch(text):
        raise InvalidInput("write a number from 0 to 2, such as 0.7")
    return float(text) if text else None


def _own_key(visit: Visit, key_id: str) -> Key:
    """The key, when it is this person's own. Another's is told apart from a missing one by nobody."""
    key = visit.store.find_key_row(key_id) if key_id else None
    if key is None or key.user_id != visit.me.id or key.status == "deleted":
        raise InvalidInput("choose one of your tokens")
    return key


def _read_history(history: str) -> list[Turn]:
    try:
        turns = _read_turns(history or "[]")
    except (msgspec.MsgspecError, UnicodeError):
        raise InvalidInput("the conversation cannot be read: start a new one") from None
    if any(turn.role not in {"user", "assistant"} for turn in turns):
        raise InvalidInput("the conversation cannot be read: start a new one")
    return turns


def _read_conversation(history: str, message: str) -> list[Turn]:
    turns = _read_history(history)
    if message:
        turns.append(Turn("user", message))
    if not turns or turns[-1].role != "user":
        raise InvalidInput("write a message")
    if len(turns) > TURNS_MAX:
        raise InvalidInput(f"the conversation has more than {TURNS_MAX} messages: start a new one")
    return turns


# --- the page -----------------------------------------------------------------------------------------


def show(visit: Visit) -> Response:
    """An empty conversation; the URL may choose the key and the model."""
    return _page(visit, turns=[])


def _page(
    visit: Visit,
    *,
    turns: list[Turn],
    message: str = "",
    result: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response:
    """The page with a conversation and, after a call, how it went."""
    form = visit.form
    keys = usable_keys(visit)
    wanted = form.text("key") or visit.query("key")
    chosen = next((key for key in keys if key.id == wanted), keys[0] if keys else None)
    names = sorted(visit.parts.callable_models())
    allowed = [name for name in names if chosen is None or allows(chosen.models, name)]
    model = form.text("model") or visit.query("model")[:200] or (allowed[0] if allowed else "")
    return visit.render(
        "playground/show.html",
        title="Playground",
        section=SECTION,
        status=status,
        keys=keys,
        chosen=chosen,
        # All of them, because the key may be changed: the script narrows the list to what that one may call.
        models=[(name, name) for name in _offered(names, model)],
        listed=len(names) <= MODELS_MAX,
        model=model,
        turns=turns,
        turns_json=msgspec.json.encode(turns).decode(),
        message=message,
        result=result,
        streams="stream" in form if form.fields else True,
        code=_code(visit, model, turns, message),
        same_names=_doubles(keys),
    )


def _doubles(keys: list[Key]) -> set[str]:
    """Names that several keys have."""
    names = [key.name for key in keys]
    return {name for name in names if names.count(name) > 1}


def _offered(names: list[str], model: str) -> list[str]:
    """The names to choose from, and the chosen one when it is none of them: the API says what is wrong with it."""
    offered = names[:MODELS_MAX]
    return offered if model in offered or not model else [model, *offered]


def show_code(visit: Visit) -> Response:
    """The ways to make this call from elsewhere, for the live page. The form is posted, so that no URL holds it."""
    form = visit.form
    if not visit.is_htmx:
        return visit.redirect("/playground", model=form.text("model")[:200])
    turns: list[Turn] = []
    with contextlib.suppress(InvalidInput):
        turns = _read_history(form.text("messages"))
    return visit.render(
        "playground/show.html",
        title="Playground",
        section=SECTION,
        block="code",
        code=_code(visit, form.text("model")[:200], turns, form.text("message")),
    )


def _code(visit: Visit, model: str, turns: list[Turn], message: str) -> list[snippets.Snippet]:
    shown = {"curl", "python", "javascript", "python-anthropic"}
    asked = _asked(visit.form, turns, message)
    known = snippets.snippets(visit.base_url, model or snippets.MODEL_PLACEHOLDER, asked=asked)
    return [one for one in known if one.id in shown]


def _asked(form: Form, turns: list[Turn], message: str) -> snippets.Asked:
    """What the form asks: the message in its box, else the last one that was sent. A wrong number is left out."""
    sent = next((turn.content for turn in reversed(turns) if turn.role == "user"), snippets.QUESTION)
    output_tokens_max, temperature = None, None
    with contextlib.suppress(InvalidInput):
        output_tokens_max = _read_output_tokens_max(form)
    with contextlib.suppress(InvalidInput):
        temperature = _read_temperature(form)
    return snippets.Asked(message or sent, form.text("system"), output_tokens_max, temperature)


# --- the call -----------------------------------------------------------------------------------------


async def call(visit: Visit) -> Response:
    """Make the call as the key, and pass on what comes: a stream or JSON to the script, a page to a browser."""
    by_script = _STREAM in visit.request.headers.get("accept", "")
    draft = await run_in_threadpool(_read_draft, visit, stream=by_script and visit.form.checked("stream"))
    if draft is None:
        if by_script:
            return _refusal(422, " ".join(visit.form.errors.values()))
        return await run_in_threadpool(_page_again, visit, status=422)
    estimates = await run_in_threadpool(_estimates, visit, draft) if by_script else {}
    try:
        answer = await _begin(visit, draft)
    except Exception as fault:  # noqa: BLE001 - only a server that stops gives no head at all
        log.warning("a call of the Playground did not begin", fault=type(fault).__name__)
        return _refusal(503, "The gateway is stopping. Nothing was charged. Try again in a moment.")
    if answer is None:
        return Response(status_code=_LEFT)
    if by_script:
        return visit.finish(PassedAnswer(answer, estimates))
    body = await _whole(answer)
    return await run_in_threadpool(_answered_page, visit, draft, answer, body)


async def _begin(visit: Visit, draft: Draft) -> CallAnswer | None:
    """The answer from its head on; None when the browser left before there was one, which ends the call."""
    calling = asyncio.ensure_future(
        visit.parts.call_as(draft.key.id, DIALECT, draft.body(), client_address=visit.address)
    )
    leaving = asyncio.ensure_future(_leave(visit.request))
    try:
        await asyncio.wait({calling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return calling.result() if calling.done() else None
    finally:
        leaving.cancel()
        calling.cancel()  # does nothing once it is done


async def _leave(request: Request) -> None:
    """Return when the browser has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refusal(status: int, message: str) -> Response:
    """A refusal of the page's own, in the shape that the API's have."""
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status_code=status)


def _estimates(visit: Visit, draft: Draft) -> dict[str, str]:
    """What the input comes to by a rough count, and what output costs, for the figure that runs along."""
    offering = shelf(visit).get(draft.model)
    if offering is None or offering.rates is None:
        return {}
    size = sum(len(turn.content.encode()) for turn in draft.turns) + len(draft.system.encode())
    tokens = divide_up(size, _BYTES_A_TOKEN)
    rates = offering.rates
    return {
        "x-estimate-start-nano": str(divide_up(tokens * rates.input, TOKENS_PER_RATE) + rates.per_request),
        "x-estimate-output-nano": str(rates.output),
    }


class PassedAnswer(StreamingResponse):
    """A call's answer on its way to the script. However this response ends, the call is not left running."""

    def __init__(self, answer: CallAnswer, headers: Mapping[str, str]) -> None:
        passed = {
            name.decode(): value.decode("latin-1")
            for name, value in answer.headers
            if (text := name.decode()) in _PASSED or text.startswith("x-ruapi-")
        }
        super().__init__(_pieces(answer), status_code=answer.status, headers={**passed, **headers})
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the reader's leaving cancels the call."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.cancel()


async def _pieces(answer: CallAnswer) -> AsyncIterator[bytes]:
    """The body. An answer that is cut short says so in its own stream, as an API would."""
    try:
        async for piece in answer.chunks():
            yield piece
    except Exception as fault:  # noqa: BLE001 - whatever cut it, the reader is told in the stream
        log.warning("an answer of the Playground was cut", fault=type(fault).__name__)
        yield b'data: {"error": {"message": "The answer was cut short. What was delivered is charged."}}\n\n'


async def _whole(answer: CallAnswer) -> bytes:
    """All of a bounded body; beyond the bound the call is ended."""
    pieces, size = [], 0
    try:
        async for piece in answer.chunks():
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                break
            pieces.append(piece)
    except Exception as fault:  # noqa: BLE001 - what came so far is read like any other
        log.warning("an answer of the Playground was cut", fault=type(fault).__name__)
    finally:
        answer.cancel()
    return b"".join(pieces)


# --- without JavaScript -----------------------------------------------------------------------------------


def _page_again(visit: Visit, *, status: int) -> Response:
    """The form as it was typed."""
    try:
        turns = _read_conversation(visit.form.text("messages"), " ")[:-1] if visit.form.text("messages") else []
    except InvalidInput:
        turns = []
    return _page(visit, turns=turns, message=visit.form.text("message"), status=status)


def _answered_page(visit: Visit, draft: Draft, answer: CallAnswer, body: bytes) -> Response:
    headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        document = {}
    if answer.status >= 400 or not isinstance(document, dict):
        error = document.get("error") if isinstance(document, dict) else None
        refusal = error if isinstance(error, dict) else {}
        result = {
            "status": answer.status,
            "error": str(refusal.get("message") or "The answer cannot be read."),
            "code": str(refusal.get("code") or ""),
            "request_id": headers.get("x-request-id", ""),
        }
        earlier = draft.turns[:-1]
        return _page(visit, turns=earlier, message=draft.turns[-1].content, result=result)
    result = {
        "status": answer.status,
        "cost_usd": headers.get("x-ruapi-cost-usd"),
        "request_id": headers.get("x-request-id", ""),
        "error": None,
    }
    return _page(visit, turns=[*draft.turns, Turn("assistant", _text_of(document))], result=result)


def _text_of(document: Mapping[str, Any]) -> str:
    """What the first choice says; empty when it says nothing in text."""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


# --- what a call came to ----------------------------------------------------------------------------------


def show_cost(visit: Visit) -> Response:
    """The exact cost of a call, for the script; 202 while it has not ended, and for what is not this person's."""
    row = visit.store.find_log(visit.argument("request_id"))
    if row is None or row.account_id != visit.me.account_id:
        return JSONResponse({"pending": True}, status_code=202)
    return JSONResponse(
        {
            "cost_usd": format_usd(row.cost_nano),
            "status": row.status,
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
        }
    )


ROUTES = (
    get("/playground", show),
    post("/playground/code", show_code),
    post("/playground/calls", call),
    get("/playground/calls/{request_id}", show_cost),
)
