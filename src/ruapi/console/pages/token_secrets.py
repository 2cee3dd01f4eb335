"""Tokens, as their owners make and change them: create, edit, rotate, replace after a leak, and reveal once.

A key is shown in the answer to the form that made it and nowhere else. So that a reload or a second press makes no
second key: a form of a new token carries a random value from which the id follows (one value, one token), and a
form that rotates names the secret that it replaces. Neither is a secret, and nothing is stored for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets as randomness
import threading
import time
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ruapi.administration import keys, leaks
from ruapi.administration.parts import CallAnswer
from ruapi.console import formats
from ruapi.console import snippets as texts
from ruapi.console.forms import Form
from ruapi.console.gate import STATUSES, get, post
from ruapi.console.pages import token_form, token_models
from ruapi.console.pages.tokens import find_own_key, means_of, row_of, working_secrets
from ruapi.console.visit import Flash, Visit
from ruapi.credentials import api_key
from ruapi.errors import Conflict, InvalidInput, NotFound, RuapiError
from ruapi.money import parse_usd
from ruapi.storage.records import Key

TEST_DIALECT = "openai_chat"
TEST_OUTPUT_TOKENS = 16
TEST_SECONDS_MAX = 60
TEST_BODY_BYTES_MAX = 256 * 1024
TEST_MESSAGE_LENGTH_MAX = 600
GRACES = (
    ("0", "Stop now", "Calls with the old key get 401 from now on."),
    ("15m", "15 minutes", None),
    ("1h", "1 hour", None),
    ("24h", "24 hours", None),
    ("7d", "7 days", None),
)
LEAK_SPANS_MS = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000}
_REQUEST = re.compile(r"[A-Za-z0-9_-]{16,64}")
_rotating = threading.Lock()
"""Two presses of one button are two threads: the second has to see what the first did."""


# --- the form -------------------------------------------------------------------------------------


def show_new(visit: Visit) -> Response:
    """The empty form."""
    return _form(visit, Form(), request=randomness.token_urlsafe(24))


def _form(visit: Visit, form: Form, *, request: str = "", key: Key | None = None, status: int = 200) -> Response:
    means = means_of(visit)
    row = None if key is None else row_of(visit, key)
    return visit.render(
        "tokens/form.html",
        title="Create token" if key is None else f"Edit {key.name}",
        section="tokens",
        status=status,
        form=form,
        key=key,
        request=request,
        sentence=_sentence(visit, form, means, key),
        models=token_models.search(visit, "", form.all("model")),
        access=form.value("access", "all"),
        free_nano=means.free_nano,
        expiry_days=token_form.EXPIRY_DAYS,
        limits_usd=token_form.LIMITS_USD,
        resets=token_form.RESET_LABELS,
        spent_nano=row.spent_nano if row else None,
        tomorrow=formats.iso(visit.now + token_form.DAY_MS)[:10],
        is_more_open=_is_more_open(form),
    )


_MORE = ("max_per_request", "requests_per_minute", "tokens_per_minute", "concurrency", "allowed_ips", "note")


def _is_more_open(form: Form) -> bool:
    """Whether one of the folded fields holds something, or is wrong."""
    filled = any(form.value(name) or form.error(name) for name in _MORE)
    return filled or form.checked("browser_use") or form.checked("strict_losses")


def _sentence(visit: Visit, form: Form, means: token_form.Means, key: Key | None) -> str:
    said = token_form.say(form, means, now=visit.now, key=key)
    if key is None:
        return said
    with contextlib.suppress(InvalidInput):
        limit_nano = token_form.read_limit(form)
        reset = form.text("limit_reset", "never")
        spent = row_of(visit, msgspec.structs.replace(key, limit_reset=reset)).spent_nano
        if token_form.stops_now(limit_nano, spent):
            return f"{said} {formats.usd_cost(spent)} is spent already: this stops this key now."
    return said


def _form_key(visit: Visit) -> Key | None:
    """The token that the posted form edits; None for a new one."""
    key_id = visit.form.text("key_id")
    if not key_id:
        return None
    key = visit.store.find_key_row(key_id)
    if key is None:
        raise NotFound("there is no such token")
    visit.own(key.user_id)
    return key


def say_sentence(visit: Visit) -> Response:
    """What the fields come to, for the page while they change."""
    key = _form_key(visit)
    sentence = _sentence(visit, visit.form, means_of(visit), key)
    return visit.render("tokens/form.html", title="Token", block="sentence", sentence=sentence)


def search_models(visit: Visit) -> Response:
    """The list of models anew, for the page while somebody searches it."""
    found = token_models.search(visit, visit.form.text("model_search")[:200], visit.form.all("model"))
    return visit.render("tokens/form.html", title="Token", block="models", models=found)


def review(visit: Visit) -> Response:
    """The form again with its sentence, for who has no JavaScript. Nothing is made or changed."""
    key = _form_key(visit)
    token_form.read_terms(visit.form, now=visit.now, key=key)
    return _form(
        visit,
        visit.form,
        request=visit.form.text("request"),
        key=key,
        status=422 if visit.form.errors else 200,
    )


# --- create ---------------------------------------------------------------------------------------


def create(visit: Visit) -> Response:
    """Make a token and show its key in this very answer."""
    form, request = visit.form, visit.form.text("request")
    if not _REQUEST.fullmatch(request):
        raise InvalidInput("this form is not whole: load the page anew")
    terms = token_form.read_terms(form, now=visit.now)
    if terms is None:
        return _form(visit, form, request=request, status=422)
    secrets = visit.parts.secrets
    key_id = keys.id_of_request(secrets, owner=visit.me, request=request)
    if visit.store.find_key_row(key_id) is not None:
        return _made_before(visit, key_id)
    try:
        key, text = keys.create(visit.store, secrets, owner=visit.me, terms=terms, now=visit.now, key_id=key_id)
    except Conflict:
        return _made_before(visit, key_id)
    return reveal(visit, key, text, title="Copy your key now")


def _made_before(visit: Visit, key_id: str) -> Response:
    key = visit.store.find_key_row(key_id)
    name = key.name if key else "a token"
    said = f"This form made {name} already; nothing was made twice. Its key was shown once. If it is lost, rotate it."
    return visit.redirect(f"/tokens/{key_id}", flash=Flash("warn", said))


def reveal(visit: Visit, key: Key, text: str, *, title: str, **names: Any) -> Response:
    """The one page that shows a key. It is the answer to the form that made it, and is kept by no cache."""
    model = token_models.cheapest(visit, key.models) or ""
    means = means_of(visit)
    response = visit.render(
        "tokens/reveal.html",
        title=title,
        section="tokens",
        key=key,
        secret=text,
        warning=_warning(key, means),
        sentence=token_form.say_terms(key.limit_nano, key.limit_reset, key.models, key.expires_at, means),
        models=[(name, name) for name in token_models.allowed(visit, key.models)],
        model=model,
        snippets=texts.snippets(visit.base_url, model or texts.MODEL_PLACEHOLDER, text),
        env=texts.env_file(visit.base_url, text),
        **{"ends_at": None, "old_count": 0, "report": None, "ended": None, **names},
    )
    response.headers["cache-control"] = "no-store"
    return response


def _warning(key: Key, means: token_form.Means) -> str:
    """What somebody could spend with the key."""
    if key.limit_nano is None:
        return f"Anyone with this key can spend your whole balance, {formats.usd_short(max(0, means.free_nano))}."
    if key.limit_nano == 0:
        return "Anyone with this key can see which models it may call. It may spend nothing."
    reset = token_form.RESET_WORDS[key.limit_reset]
    return f"Anyone with this key can spend up to {formats.usd_cost(key.limit_nano)} {reset}."


def _posted_key(visit: Visit) -> str:
    """A key that the reveal page sent back to have it put into a file or a text; it is not looked up."""
    text = visit.form.text("key")
    if not isinstance(api_key.parse(text), api_key.ParsedKey):
        raise InvalidInput("this is no key")
    return text


def download_env(visit: Visit) -> Response:
    """The key as a .env file. It comes in the form's body, so that no URL holds it."""
    body = texts.env_file(visit.base_url, _posted_key(visit))
    headers = {"content-disposition": 'attachment; filename="ruapi.env"', "cache-control": "no-store"}
    return visit.finish(Response(body, media_type="text/plain; charset=utf-8", headers=headers))


def show_snippets(visit: Visit) -> Response:
    """The snippets with another model, for the reveal page."""
    model = visit.form.text("model")[:200] or texts.MODEL_PLACEHOLDER
    return visit.render(
        "tokens/reveal.html",
        title="Snippets",
        block="snippets",
        snippets=texts.snippets(visit.base_url, model, _posted_key(visit)),
    )


# --- a test request -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of a test request, in words."""

    kind: str
    text: str
    detail: str = ""
    request_id: str = ""


async def test(visit: Visit) -> Response:
    """Call a model as the token, with all of its limits, and say what came of it."""
    try:
        key, model = await run_in_threadpool(_test_subject, visit)
    except RuapiError as fault:
        status = next((status for kind, status in STATUSES if isinstance(fault, kind)), 500)
        result = TestResult("danger", "Not sent", f"{str(fault)[:1].upper()}{str(fault)[1:]}.")
        return await run_in_threadpool(_show_result, visit, result, status)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Answer with one word: hello."}],
        "max_tokens": TEST_OUTPUT_TOKENS,
    }
    started = time.monotonic()
    try:
        async with asyncio.timeout(TEST_SECONDS_MAX):
            answer = await visit.parts.call_as(
                key.id, TEST_DIALECT, msgspec.json.encode(body), client_address=visit.address
            )
            content = await _read(answer)
        result = _result(answer, content, model, round((time.monotonic() - started) * 1_000))
    except TimeoutError:
        result = TestResult("danger", f"No answer in {TEST_SECONDS_MAX} s", f"{model} did not answer in time.")
    return await run_in_threadpool(_show_result, visit, result, 200)


def _test_subject(visit: Visit) -> tuple[Key, str]:
    key = find_own_key(visit)
    model = visit.form.text("model")[:200] or token_models.cheapest(visit, key.models)
    if not model:
        raise Conflict("none of the models that this token may call can be called now")
    return key, model


def _show_result(visit: Visit, result: TestResult, status: int) -> Response:
    return visit.render(
        "tokens/test.html",
        title="Test request",
        section="tokens",
        status=200 if visit.is_htmx else status,
        block="result" if visit.is_htmx else None,
        result=result,
    )


async def _read(answer: CallAnswer) -> bytes:
    pieces, size = [], 0
    async for piece in answer.chunks():
        size += len(piece)
        if size > TEST_BODY_BYTES_MAX:
            answer.cancel()
            break
        pieces.append(piece)
    return b"".join(pieces)


def _result(answer: CallAnswer, content: bytes, model: str, took_ms: int) -> TestResult:
    headers = {name: value.decode("latin-1") for name, value in answer.headers}
    request_id = headers.get(b"x-request-id", "")
    took = formats.duration_ms(took_ms)
    if answer.status < 400:
        cost = headers.get(b"x-ruapi-cost-usd")
        paid = f", {formats.usd_cost(parse_usd(cost))}" if cost is not None else ""
        return TestResult("ok", f"{answer.status} in {took}{paid}", f"{model} answered.", request_id)
    return TestResult("danger", f"{answer.status} in {took}", _message(content), request_id)


def _message(content: bytes) -> str:
    """The refusal's own words."""
    try:
        said = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return "The answer was no JSON."
    error = said.get("error") if isinstance(said, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:TEST_MESSAGE_LENGTH_MAX] if message else "The answer gave no reason."


# --- edit -----------------------------------------------------------------------------------------


def _alive(visit: Visit) -> Key:
    key = find_own_key(visit)
    if key.status == "deleted":
        raise Conflict(f"the token {key.name} is deleted; its history stays in Logs, and nothing of it can be changed")
    return key


def show_edit(visit: Visit) -> Response:
    """The form of a token as it is."""
    key = _alive(visit)
    return _form(visit, token_form.fill(key, set(visit.parts.callable_models())), key=key)


def edit(visit: Visit) -> Response:
    """Change everything but the secret."""
    key = _alive(visit)
    terms = token_form.read_terms(visit.form, now=visit.now, key=key)
    if terms is None:
        return _form(visit, visit.form, key=key, status=422)
    key = keys.edit(visit.store, key, now=visit.now, **msgspec.structs.asdict(terms))
    spent = row_of(visit, key).spent_nano
    if token_form.stops_now(key.limit_nano, spent):
        said = f"{key.name} is saved. {formats.usd_cost(spent)} is spent already, so its limit stops it now."
        return visit.redirect(f"/tokens/{key.id}", flash=Flash("warn", said))
    return visit.redirect(f"/tokens/{key.id}", flash=Flash("ok", f"{key.name} is saved. It counts from the next call."))


# --- rotate ---------------------------------------------------------------------------------------


def show_rotate(visit: Visit, *, status: int = 200) -> Response:
    """Ask for how long the old key keeps working."""
    key = _alive(visit)
    return visit.render(
        "tokens/rotate.html",
        title=f"Rotate {key.name}",
        section="tokens",
        status=status,
        key=key,
        graces=GRACES,
        newest=_newest(visit, key),
        default=keys.DEFAULT_GRACE,
        old_ends_at=row_of(visit, key).old_secret_ends_at,
        old_count=len(working_secrets(visit, key)) - 1,
    )


def _newest(visit: Visit, key: Key) -> str:
    """What tells the newest secret of a key from those before and after it: its place, not its value."""
    secrets = visit.store.key_secrets(key.id)
    return f"{len(secrets)}.{secrets[0].created_at}" if secrets else ""


def rotate(visit: Visit) -> Response:
    """Give a token a new secret and show it in this very answer."""
    form = visit.form
    with form.field("grace"):
        grace_ms = keys.GRACES_MS.get(form.text("grace"))
        if grace_ms is None:
            raise InvalidInput("choose how long the old key keeps working")
    if form.errors or grace_ms is None:
        return show_rotate(visit, status=422)
    with _rotating:
        key = _alive(visit)
        if form.text("newest") != _newest(visit, key):
            said = (
                f"{key.name} was rotated since this form was opened; nothing was done twice. Rotate again if need be."
            )
            return visit.redirect(f"/tokens/{key.id}", flash=Flash("warn", said))
        key, text, ends_at = keys.rotate(visit.store, visit.parts.secrets, key, grace_ms=grace_ms, now=visit.now)
    old_count = len(working_secrets(visit, key)) - 1
    return reveal(visit, key, text, title="Copy your new key now", ends_at=ends_at, old_count=old_count)


def end_old_secret(visit: Visit) -> Response:
    """Stop every old secret of a rotated token before its time."""
    key = _alive(visit)
    ended = keys.end_old_secrets(visit.store, key, now=visit.now)
    if ended > 1:
        said = f"{ended:,} old keys are stopped. Calls with them are answered 401."
    else:
        said = (
            "The old key is stopped. Calls with it are answered 401." if ended else "No old key was working any more."
        )
    return visit.redirect(f"/tokens/{key.id}", flash=Flash("ok", said))


# --- this key leaked ------------------------------------------------------------------------------


def show_leaked(visit: Visit, *, status: int = 200) -> Response:
    """Ask since when, and show what the key did meanwhile."""
    key = _alive(visit)
    return visit.render(
        "tokens/leaked.html",
        title=f"{key.name} leaked",
        section="tokens",
        status=status,
        key=key,
        addresses=visit.store.addresses_of_key(key.id, since=visit.now - LEAK_SPANS_MS["7d"], limit=10),
    )


def leaked(visit: Visit) -> Response:
    """Revoke the key, make its twin, and show that with the report."""
    key, form = _alive(visit), visit.form
    since = key.created_at
    with form.field("since"):
        choice = form.text("since")
        if choice != "ever":
            if choice not in LEAK_SPANS_MS:
                raise InvalidInput("choose since when")
            since = max(key.created_at, visit.now - LEAK_SPANS_MS[choice])
    if form.errors:
        return show_leaked(visit, status=422)
    leak = leaks.leaked(visit.store, visit.parts.secrets, key, since=since, now=visit.now)
    if leak.twin is None or leak.text is None:
        return visit.render(
            "tokens/leak_report.html",
            title=f"{key.name} is revoked",
            section="tokens",
            key=leak.ended,
            report=leak.traffic,
        )
    return reveal(visit, leak.twin, leak.text, title="The leaked key is stopped", report=leak.traffic, ended=leak.ended)


ROUTES = (
    get("/tokens/new", show_new, confirm=True),
    post("/tokens", create, confirm=True),
    post("/tokens/review", review),
    post("/tokens/sentence", say_sentence),
    post("/tokens/models", search_models),
    post("/tokens/env", download_env),
    post("/tokens/snippets", show_snippets),
    post("/tokens/{key_id}/test", test),
    get("/tokens/{key_id}/edit", show_edit),
    post("/tokens/{key_id}/edit", edit),
    get("/tokens/{key_id}/rotate", show_rotate, confirm=True),
    post("/tokens/{key_id}/rotate", rotate, confirm=True),
    post("/tokens/{key_id}/end-old-secret", end_old_secret),
    get("/tokens/{key_id}/leaked", show_leaked, confirm=True),
    post("/tokens/{key_id}/leaked", leaked, confirm=True),
)
