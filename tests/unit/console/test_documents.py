"""What the documents say is what the code does; what they show runs; what they render is safe to show."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from ruapi.canon.losses import CATALOGUE
from ruapi.canon.usage import Usage
from ruapi.console import documents
from ruapi.console.documents import Examples, all_documents, contents, html, llms_txt, markdown
from ruapi.credentials import api_key
from ruapi.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT
from ruapi.errors import InvalidInput, KeyLimitReached, NotFound, Problem
from ruapi.gateway import admit, app, authenticate, counting, relay, server
from ruapi.money import NANO_PER_USD, divide_up, format_usd, parse_usd
from ruapi.pricing.cost import cost_lines, cost_of
from ruapi.pricing.quote import quote
from ruapi.pricing.rates import Rates
from ruapi.settings import Settings
from tests.console_browser import ConsoleBrowser
from tests.fake_provider import FakeProvider
from tests.gateway_process import OWNER, PASSWORD, CreatedKey, GatewayProcess

BASE = "https://ai.example.com"
MODEL = "vendor/chat-model"
EMBEDDING_MODEL = "text-embedding-3-small"
MODELS = Examples(MODEL, EMBEDDING_MODEL)
SLUGS = tuple(one.slug for one in all_documents())
SOURCES = Path(inspect.getfile(documents)).with_name("documents")


def text_of(slug: str) -> str:
    """The document on one line, so that a sentence is found wherever it was broken."""
    return " ".join(markdown(slug, base_url=BASE, models=MODELS).split())


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, without head and rule; backquotes are dropped."""
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return [rows[2:] for rows in found]


class Page(HTMLParser):
    """Tags of a rendering, in order, with their attributes; raises when they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"br", "hr", "img"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(slug: str, base_url: str = BASE, models: Examples = MODELS) -> Page:
    return Page(html(slug, base_url=base_url, models=models))


# --- the set ------------------------------------------------------------------------------------------


def test_the_promised_documents_are_there_and_no_source_is_forgotten():
    assert {"quickstart", "authentication", "api-reference", "errors", "pricing"} <= set(SLUGS)
    assert {path.stem for path in SOURCES.glob("*.md")} == set(SLUGS)


def test_sections_stand_together():
    sections = [one.section for one in all_documents()]
    assert sections == sorted(sections, key=sections.index)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_document_opens_with_its_title_and_summary(slug):
    one = documents.document(slug)
    assert markdown(slug, base_url=BASE).startswith(f"# {one.title}\n\n> {one.summary}\n\n")
    assert not re.search(r"^# ", (SOURCES / f"{slug}.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_an_unknown_document_is_not_found():
    with pytest.raises(NotFound):
        markdown("../secrets", base_url=BASE)


def test_the_index_follows_the_convention_of_llms_txt():
    lines = llms_txt(base_url=f"{BASE}/").splitlines()

    assert re.fullmatch(r"# \S.*", lines[0])
    assert next(line for line in lines[1:] if line).startswith("> ")
    assert len([line for line in lines if line.startswith("# ")]) == 1
    listed = [match[1] for line in lines if (match := re.fullmatch(r"- \[[^\]]+\]\(([^)]+)\): \S.*", line))]
    assert listed == [*(f"{BASE}/docs/{slug}.md" for slug in SLUGS), f"{BASE}/api/v1/docs"]
    first_section = next(number for number, line in enumerate(lines) if line.startswith("## "))
    assert not [line for line in lines[:first_section] if line.startswith("- ")]
    assert all(line == "" or line.startswith(("## ", "- ")) for line in lines[first_section:])


# --- filling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_the_readers_own_base_url_is_filled_in_everywhere(slug):
    for text in (markdown(slug, base_url=f"{BASE}/v1/"), str(html(slug, base_url=BASE))):
        assert "{{" not in text
        assert "localhost" not in text
        assert "127.0.0.1" not in text
        assert "/v1/v1/" not in text


def test_an_unknown_placeholder_is_an_error():
    with pytest.raises(KeyError):
        documents.fill("Hello {{nobody}}", {"base_url": lambda: BASE})


def test_what_is_filled_in_is_not_filled_again():
    assert documents.fill("{{model}}", {"model": lambda: "{{base_url}}", "base_url": lambda: BASE}) == "{{base_url}}"


def test_examples_call_what_is_served():
    served = ["text-embedding-3-small", "Qwen3-Embedding", "b-chat", "a-chat"]
    assert documents.examples_of(served) == Examples("a-chat", "Qwen3-Embedding")
    assert documents.examples_of(["b-chat"]) == Examples("b-chat", None)
    assert documents.examples_of([EMBEDDING_MODEL]) == Examples("your-model", EMBEDDING_MODEL)
    assert documents.examples_of([]) == Examples("your-model", None)


def test_embeddings_are_shown_only_where_a_model_for_them_is_served():
    called = re.compile(r'curl https://ai\.example\.com/v1/embeddings[^`]*"model": "([^"]+)"')
    assert called.findall(markdown("api-reference", base_url=BASE, models=MODELS)) == [EMBEDDING_MODEL]
    assert called.findall(markdown("api-reference", base_url=BASE)) == ["your-embedding-model"]
    text = markdown("api-reference", base_url=BASE, models=Examples(MODEL, None))
    assert not called.findall(text)
    assert "At present this server has no such model." in text


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "https://[::1]:8443", "https://a-b.example/ruapi"])
def test_a_base_url_may_have_a_port_an_ipv6_address_or_a_path(base_url):
    assert f"{base_url}/v1" in markdown("quickstart", base_url=base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "", "example.com", "javascript:alert(1)", "https://a b", "https://a`b", "https://a\n# b", 'https://a"onload=',
        "https://a/<script>", "https://a$(touch x)", "https://a')]", "https://user:secret@a", "https://a?b", "https://a#b",
    ],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(base_url):
    with pytest.raises(InvalidInput):
        html("quickstart", base_url=base_url)


@pytest.mark.parametrize(
    "model", ["<script>alert(1)</script>", "```\n# Hello", "a`b````c", "{{losses}}", "x](javascript:y)"]
)
def test_a_hostile_model_changes_no_page(model):
    models = Examples(model, model)
    usual, filled = page("api-reference"), page("api-reference", models=models)

    assert [tag for tag, _ in filled.tags] == [tag for tag, _ in usual.tags]
    assert contents("api-reference", base_url=BASE, models=models) == contents("api-reference", base_url=BASE)


# --- HTML ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_headings_can_be_linked_to_and_begin_below_the_title(slug):
    found = [attributes["id"] for tag, attributes in page(slug).tags if tag in {"h1", "h2", "h3", "h4"}]

    assert not page(slug).named("h1")
    assert all(found)
    assert len(set(found)) == len(found)
    assert [entry.id for entry in contents(slug, base_url=BASE)] == [one["id"] for one in page(slug).named("h2")]


@pytest.mark.parametrize("slug", SLUGS)
def test_links_lead_somewhere(slug):
    anchors = {one: {str(attributes.get("id")) for _, attributes in page(one).tags} for one in SLUGS}
    links = [str(attributes["href"]) for attributes in page(slug).named("a")]

    for link in links:
        path, _, anchor = link.removeprefix(BASE).partition("#")
        if path.startswith("/docs/") or not path:
            target = path.removeprefix("/docs/") or slug
            assert target in SLUGS
            assert not anchor or anchor in anchors[target]
        else:
            assert path in {"/", "/tokens", "/logs", "/models", "/billing", "/security", "/api/v1/docs"}


@pytest.mark.parametrize("slug", SLUGS)
def test_links_in_markdown_lead_to_markdown(slug):
    for target in re.findall(r"\]\(([^)]+)\)", markdown(slug, base_url=BASE)):
        name = target.partition("#")[0]
        assert target.startswith((f"{BASE}/", "#")) or name.removesuffix(".md") in SLUGS


@pytest.mark.parametrize("slug", SLUGS)
def test_code_and_tables_are_reached_by_keyboard_and_named(slug):
    rendered = page(slug)

    assert all(one.get("tabindex") == "0" for one in rendered.named("pre"))
    assert all(str(one.get("class")).startswith("language-") for tag, one in rendered.tags if tag == "code" and one)
    frames = [one for one in rendered.named("div") if one.get("class") == "table-scroll"]
    assert len(frames) == len(rendered.named("table"))
    assert all(one["tabindex"] == "0" and one["role"] == "region" for one in frames)
    labels = [one["aria-label"] for one in frames]
    assert len(set(labels)) == len(labels)
    assert all(one.get("scope") == "col" for one in rendered.named("th"))
    allowed = {"id", "href", "rel", "class", "tabindex", "role", "aria-label", "scope", "start"}
    drawn = {"svg", "use", "button"}
    written = {name for tag, attributes in rendered.tags if tag not in drawn for name in attributes}
    assert written <= {*allowed, "data-copy-label"}


@pytest.mark.parametrize("slug", SLUGS)
def test_every_block_of_code_can_be_copied_as_it_is(slug):
    rendered = page(slug)
    codes = [one for tag, one in rendered.tags if tag == "code" and one]

    assert len(codes) == len(rendered.named("pre"))
    assert [one["id"] for one in codes] == [button["data-copy"] for button in rendered.named("button")]
    assert len({one["id"] for one in codes}) == len(codes)
    assert all(button["type"] == "button" for button in rendered.named("button"))
    assert all("hidden" in button and "data-needs-script" in button for button in rendered.named("button"))
    assert not re.search(r"\s</code></pre>", html(slug, base_url=BASE, models=MODELS))


def test_html_in_a_source_is_text_and_links_that_run_are_none():
    rendered = Page(
        documents._parser().render(
            "<img src=x onerror=y>\n\n[a](javascript:b) [c](https://d.example)", {"origin": BASE}
        )
    )

    assert not rendered.named("img")
    assert rendered.named("a") == [{"href": "https://d.example", "rel": "noopener"}]
    assert "onerror" in rendered.text


@pytest.mark.parametrize("slug", SLUGS)
def test_a_warm_rendering_takes_less_than_two_milliseconds(slug):
    html(slug, base_url=BASE, models=MODELS)
    best = min(_seconds(lambda: html(slug, base_url=BASE, models=MODELS)) for _ in range(20))
    assert best < 0.002


def _seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# --- what they promise --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "promise",
    [
        "The key starts with `sk-`", "press **Create token**", "**Name**", "**Expiry**", '"Never", or a date',
        "**Spend limit in USD** (optional)", "**Model access** (optional)", "is shown **once**",
        "only its last 4 characters are visible",
        "revoke it and create a new one", "`Authorization: Bearer sk-...`", "`x-api-key`", "answers `401 Unauthorized`",
        "**One key per project.**", "**Production and staging.**", "**Delegation.**", "$50", "**Runaway scripts.**",
        "1. Change your password.", "2. Revoke all keys.", "3. Create new keys",
        "A key belongs on a backend", "Not in Git", "Not in a browser",
        f"[Tokens]({BASE}/tokens)",
    ],
)  # fmt: skip
def test_the_quickstart_keeps_the_promises_of_the_service(promise):
    assert promise in text_of("quickstart")


def test_a_key_has_the_form_that_is_described():
    _, key = api_key.generate()
    letters = api_key.KEY_LENGTH - len(api_key.PREFIX)

    assert f"`{api_key.PREFIX}`, then {letters} letters and digits. The last {api_key.CHECKSUM_LENGTH} are" in text_of(
        "authentication"
    )
    assert re.fullmatch(rf"{api_key.PREFIX}[0-9A-Za-z]{{{letters}}}", key)


# --- errors -------------------------------------------------------------------------------------------


def every_problem() -> list[type[Problem]]:
    found, waiting = [], [Problem]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return found


def test_every_problem_is_in_the_table_with_its_status_and_whether_to_try_again():
    listed = [tuple(row[:3]) for table in tables(markdown("errors", base_url=BASE))[:3] for row in table]
    kinds = [kind for kind in every_problem() if kind.__name__ not in {"Refused", "UpstreamFailed", "ProviderRefused"}]
    wanted = [(str(kind.status), kind.code, "yes" if kind.retryable else "no") for kind in kinds]

    assert len(kinds) > 30
    assert sorted(listed) == sorted(wanted)


def test_the_meaning_of_an_error_is_that_of_its_class():
    text = markdown("errors", base_url=BASE)
    assert "| 402 | `key_limit_reached` | no | The key's spend limit leaves too little for this call. |" in text


def test_the_shapes_of_errors_are_those_that_are_sent():
    figures = {"limit_usd": "10", "spent_usd": "9.98", "held_usd": "0", "remaining_usd": "0.02", "needed_usd": "0.05"}
    problem = KeyLimitReached("This key's spend limit is $10: ...", figures=figures)
    shown = re.findall(r"```json\n(.*?)\n```", markdown("errors", base_url=BASE), re.DOTALL)

    sent = [dialect.shape_error(problem, "req_...") for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES)]
    assert [msgspec.json.decode(text) for text in shown] == [msgspec.json.decode(body) for body in sent]


def test_refusals_of_the_edge_are_named_with_their_status():
    source = inspect.getsource(server)
    known = {kind.code for kind in every_problem()}
    refusals = set(re.findall(r'_Refused\((\d{3}), "([a-z_]+)"', source))

    assert refusals
    for status, code in refusals:
        if code not in known:
            assert re.search(rf"\b{status}\b[^.]*`{code}`", text_of("errors")), (status, code)


def test_codes_of_the_log_are_explained():
    text = text_of("errors")
    source = inspect.getsource(relay)
    for code in ("stopped_at_limit", "client_gone", "key_revoked", "stopping"):
        assert f'"{code}"' in source
        assert f"`{code}`" in text


# --- the reference ------------------------------------------------------------------------------------


def test_every_endpoint_is_described():
    text = markdown("api-reference", base_url=BASE)
    source = inspect.getsource(app.App)
    readers = re.findall(r'^\s+"(/v1/[a-z]+)": self\.', source, re.MULTILINE)

    assert len(readers) == 4
    for path in (*app.CALLS, app.COUNT_TOKENS):
        assert f"`POST {path}`" in text
    for path in readers:
        assert f"`GET {path}" in text
    for path in ("/livez", "/healthz", "/readyz", "/metrics", "/v1/models/{id}"):
        assert path in text


def test_every_header_of_ours_is_described():
    text = markdown("api-reference", base_url=BASE)
    sources = "".join(inspect.getsource(module) for module in (admit, app, authenticate, counting, relay))

    named = set(re.findall(r'b"(x-ruapi-[a-z-]+)"', sources))
    assert named >= {"x-ruapi-cost-usd", "x-ruapi-losses", "x-ruapi-output-tokens-max", "x-ruapi-strict-losses"}
    assert [name for name in named if f"`{name}" not in text] == []
    assert "`x-request-id`" in text
    assert "`x-should-retry`" in text


def test_every_loss_is_listed():
    rows = {row[0]: row[1:] for row in tables(markdown("api-reference", base_url=BASE))[-1]}
    assert rows == {name: [severity, sentence] for name, (severity, sentence) in CATALOGUE.items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, CreatedKey]]:
    home = tmp_path_factory.mktemp("documents") / "home"
    with FakeProvider() as provider, GatewayProcess(home) as gateway:
        gateway.make_owner(balance="25")
        gateway.add_channel("fake", "openai", provider.openai_base_url, models=[MODEL, EMBEDDING_MODEL])
        for model in (MODEL, EMBEDDING_MODEL):
            gateway.price_model(model, input_usd="2", output_usd="10")
        key = gateway.create_key("documents", limit="5")
        gateway.start()
        yield gateway, key


def commands(slug: str, base_url: str) -> list[str]:
    text = markdown(slug, base_url=base_url, models=MODELS)
    return [block for block in re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL) if block.startswith("curl")]


@pytest.mark.parametrize("path", ["/docs/api-reference", "/docs/api-reference.md"])
def test_who_is_signed_in_reads_examples_of_what_is_served_and_a_stranger_none(served, path):
    gateway, _ = served
    browser = ConsoleBrowser(gateway.port)
    stranger = unescape(browser.get(path).text)
    assert '"model": "your-model"' in stranger
    assert MODEL not in stranger
    assert browser.sign_in(OWNER, PASSWORD).status == 303
    member = unescape(browser.get(path).text)
    assert f'"model": "{MODEL}"' in member
    assert f'"model": "{EMBEDDING_MODEL}"' in member
    assert "your-model" not in member


@pytest.mark.parametrize(
    ("slug", "least"), [("quickstart", 1), ("authentication", 1), ("api-reference", 13), ("streaming", 3)]
)
def test_every_command_that_is_shown_is_answered_200(slug, least, served, tmp_path):
    gateway, key = served
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    earlier = gateway.post("/v1/chat/completions", asked, key=key.secret).headers["x-request-id"]
    environment = {"PATH": os.environ["PATH"], "RUAPI_KEY": key.secret, "REQUEST_ID": earlier}
    shown = commands(slug, gateway.base_url)

    assert len(shown) >= least
    for command in shown:
        quiet = command.replace("curl", "curl -sS -o answer -w '%{http_code}'", 1)
        done = subprocess.run(
            ["sh", "-c", quiet], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (0, "200"), (command, done.stderr, (tmp_path / "answer").read_text())


def test_the_cost_of_a_stream_stands_where_it_is_said_to(served):
    gateway, key = served
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    told = gateway.post("/v1/chat/completions", {**asked, "stream_options": {"include_usage": True}}, key=key.secret)
    untold = gateway.post("/v1/chat/completions", asked, key=key.secret)
    messages = gateway.post("/v1/messages", {**asked, "max_tokens": 900}, key=key.secret)
    responses = gateway.post("/v1/responses", {"model": MODEL, "input": "Hello", "stream": True}, key=key.secret)

    assert told.events[-1]["choices"] == []
    assert told.events[-1]["usage"]["x-ruapi-cost-usd"] == "0.007"
    assert b"x-ruapi-cost-usd" not in untold.body
    [delta] = [event for event in messages.events if event["type"] == "message_delta"]
    assert delta["usage"]["x-ruapi-cost-usd"] == "0.007"
    assert responses.events[-1]["response"]["usage"]["x-ruapi-cost-usd"] == "0.007"
    assert '"total_tokens": 1500, "x-ruapi-cost-usd": "0.007"' in text_of("streaming")


# --- limits -------------------------------------------------------------------------------------------


def test_limits_are_those_of_a_server_that_nobody_changed():
    settings = Settings(home=Path("unused"))
    edge = server.Limits()
    rows = {row[0]: row[1:] for table in tables(markdown("limits", base_url=BASE))[1:] for row in table}

    assert rows["Body"] == [f"{settings.body_bytes_max // 2**20} MiB", "413"]
    assert rows["Headers"] == [f"{settings.header_bytes_max // 2**10} KiB", "431"]
    assert rows["Path and query"] == [f"{edge.target_bytes_max // 2**10} KiB", "414"]
    assert rows["Nesting of the JSON body"] == [f"{settings.json_depth_max} levels", "400"]
    assert rows["Time to send the headers"] == [f"{settings.header_timeout_ms // 1000} s", "408"]
    assert rows["Silence while sending the body"] == [f"{settings.body_idle_timeout_ms // 1000} s", "408"]
    assert rows["Time to reach the provider"][0] == f"{settings.connect_timeout_ms // 1000} s"
    assert rows["Time until the provider's first byte"][0] == f"{settings.first_byte_timeout_ms // 1000} s"
    assert rows["Silence of the provider within an answer"][0] == f"{settings.idle_timeout_ms // 1000} s"
    assert rows["Calls at once, in all"][0] == f"{settings.calls_in_flight_max:,} for each server process"


def test_figures_in_the_text_are_those_of_the_settings():
    settings = Settings(home=Path("unused"))

    assert f"Under {settings.useful_output_tokens_min} tokens of output" in text_of("limits")
    assert f"at most {settings.output_share_percent}% of what is free" in text_of("limits")
    assert f"at least {settings.input_tokens_held_min:,} tokens of input" in text_of("pricing")
    assert f"every {settings.stream_ping_ms // 1000} seconds" in text_of("streaming")
    assert f"More than {authenticate._FAILURES_PER_MINUTE_MAX} requests with bad keys" in text_of("limits")


# --- pricing ------------------------------------------------------------------------------------------


def test_the_worked_example_is_what_the_gateway_would_charge():
    rows = tables(markdown("pricing", base_url=BASE))[1]
    tokens = {row[0]: int(row[1].replace(",", "")) for row in rows}
    rates = {row[0]: parse_usd(row[2]) for row in rows}
    products = {row[0]: int(row[3].replace(",", "")) for row in rows}
    usage = Usage(
        input_tokens=tokens["Input"], cache_read_tokens=tokens["Cached input"], output_tokens=tokens["Output"]
    )
    prices = Rates(input=rates["Input"], cached_input=rates["Cached input"], output=rates["Output"])
    text = text_of("pricing")

    assert products == {name: tokens[name] * rates[name] for name in tokens}
    assert sorted(products.values()) == sorted(line.quantity * line.rate for line in cost_lines(usage, prices))
    cost = cost_of(usage, prices)
    assert cost == divide_up(sum(products.values()), 1_000_000)
    assert Fraction(sum(products.values()), 1_000_000) < cost  # so that the example shows the rounding
    assert f"The sum is {sum(products.values()):,}." in text
    assert f"rounded up {cost:,} nano-dollars: the call costs **${format_usd(cost)}**" in text
    assert f"{tokens['Input'] + tokens['Cached input']:,} tokens of input, of which {tokens['Cached input']:,}" in text


def test_the_hold_of_the_example_is_what_the_gateway_would_hold():
    steps = {row[0]: parse_usd(row[1]) for row in tables(markdown("pricing", base_url=BASE))[2]}
    prices = Rates(
        input=15 * NANO_PER_USD // 100, cached_input=375 * NANO_PER_USD // 10_000, output=6 * NANO_PER_USD // 10
    )

    held = quote(prices, input_tokens_max=14_100, output_tokens_max=1_000, cache_writes=False)
    assert steps["Held before the call"] == held
    assert steps["Released"] == held - steps["Charged after it"]
    assert f"**${format_usd(steps['Charged after it'])}**" in text_of("pricing")


def test_rates_that_are_missing_fall_back_as_described():
    prices = Rates(input=1_000, output=9_000)
    rows = {row[0]: row[2] for row in tables(markdown("pricing", base_url=BASE))[0]}

    assert rows["Cached input"] == "the input rate"
    assert prices.cached_input_rate == prices.input
    assert rows["Cache write, 5 minutes"] == "1.25 × the input rate"  # noqa: RUF001
    assert prices.cache_write_5m_rate == prices.input * 5 // 4
    assert rows["Cache write, 1 hour"] == "2 × the input rate"  # noqa: RUF001
    assert prices.cache_write_1h_rate == prices.input * 2
