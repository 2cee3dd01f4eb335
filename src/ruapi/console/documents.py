"""The documents at ``/docs``: Markdown in this package, filled with the reader's own base URL, as text or HTML.

Sources lie in ``documents/``, without title: that stands in the table below, once. ``{{name}}`` is a
placeholder out of a closed set; an unknown one is a mistake of ours and raises. Filling happens in one pass,
so a value that looks like a placeholder stays a value.

Raw HTML in a source is text. What goes into a page is what markdown-it makes of these files, plus ids on
headings, a focusable frame around tables, a Copy button on code, and links from one document to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from ruapi import errors
from ruapi.canon.losses import CATALOGUE
from ruapi.console import snippets
from ruapi.console.snippets import MODEL_PLACEHOLDER
from ruapi.errors import GatewayFault, InvalidInput, NotFound, Problem, ProviderRefused, Refused, UpstreamFailed

EMBEDDING_MODEL_PLACEHOLDER = "your-embedding-model"
RENDERED_MAX = 256
"""How many renderings are kept: a handful of documents, for each base URL and set of examples."""


class Document(NamedTuple):
    """A page of the documentation: its name in the URL, its title, one sentence, and where the index lists it."""

    slug: str
    title: str
    summary: str
    section: str


class Heading(NamedTuple):
    """An entry of a page's table of contents."""

    id: str
    text: str


_DOCUMENTS = (
    Document("quickstart", "Quickstart", "From no key to an answer, and how to keep keys apart.", "Start"),
    Document("authentication", "Authentication", "How a key is sent, what it may do, and how it ends.", "Start"),
    Document("connect-tools", "Connect tools", "Settings for SDKs, coding agents and chat programs.", "Start"),
    Document("api-reference", "API reference", "Every endpoint, with a command that calls it.", "Calls"),
    Document("streaming", "Streaming", "Events as they come, where the cost stands, and how a stream ends.", "Calls"),
    Document("errors", "Errors", "Every status and code, whose fault it is, and whether trying again helps.", "Calls"),
    Document("limits", "Limits", "What bounds a key, a call and a request.", "Calls"),
    Document("pricing", "Pricing", "How a charge is computed, to the billionth of a dollar.", "Money"),
)
_BY_SLUG = {document.slug: document for document in _DOCUMENTS}

# Characters of a URL that mean nothing to Markdown or a shell, so that filling cannot change what is around it.
_BASE_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._%-]+)*")
_PLACEHOLDER = re.compile(r"\{\{([a-z_]*)\}\}")
_DOCUMENT_LINK = re.compile(r"([a-z-]+)\.md(#[a-z0-9-]*)?")


_LANGUAGES = {
    "sh": "Shell", "python": "Python", "javascript": "JavaScript", "json": "JSON", "toml": "TOML", "http": "HTTP",
    "text": "Text",
}  # fmt: skip
_COPY_BUTTON = (
    '<button type="button" class="copy button button-secondary button-small" data-copy="code-{}" hidden '
    'data-needs-script="">'
    '<svg class="icon" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.75" '
    'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
    '<use href="/static/icons.svg#copy"/></svg><span data-copy-label="">Copy</span></button>'
)


def all_documents() -> tuple[Document, ...]:
    """Every document, in reading order; those of a section stand together."""
    return _DOCUMENTS


def document(slug: str) -> Document:
    """The document of that name. Raises ``NotFound``."""
    found = _BY_SLUG.get(slug)
    if found is None:
        raise NotFound(f"there is no document {slug[:80]!r}")
    return found


class Examples(NamedTuple):
    """The models that the examples call; ``embedding`` is None where none is served."""

    chat: str = MODEL_PLACEHOLDER
    embedding: str | None = EMBEDDING_MODEL_PLACEHOLDER


UNKNOWN_MODELS = Examples()
"""For readers who are not told what is served here."""


def examples_of(names: Collection[str]) -> Examples:
    """Examples that work where these models can be called.

    Nothing says what a model is for: those for embeddings are told by their names, which all have the word.
    """
    embedding = {name for name in names if "embed" in name.lower()}
    return Examples(min(set(names) - embedding, default=MODEL_PLACEHOLDER), min(embedding, default=None))


def markdown(slug: str, *, base_url: str, models: Examples = UNKNOWN_MODELS) -> str:
    """A document as Markdown, title and summary included, with links to other documents' Markdown.

    ``base_url`` is where the reader reaches this server, ``models`` what can be called there, for the examples.
    Raises ``NotFound``, and ``InvalidInput`` for a base URL that is none.
    """
    return _rendered(document(slug), checked_base_url(base_url), models).markdown


def html(slug: str, *, base_url: str, models: Examples = UNKNOWN_MODELS) -> Markup:
    """The document's text as HTML, without its title and summary. Arguments and errors as of ``markdown``."""
    return _rendered(document(slug), checked_base_url(base_url), models).html


def contents(slug: str, *, base_url: str, models: Examples = UNKNOWN_MODELS) -> tuple[Heading, ...]:
    """The table of contents: headings of the second level. Arguments and errors as of ``markdown``."""
    return _rendered(document(slug), checked_base_url(base_url), models).contents


@lru_cache(maxsize=16)
def llms_txt(*, base_url: str) -> str:
    """The index for programs that read: what this server is, and each document's Markdown. Raises ``InvalidInput``."""
    origin = checked_base_url(base_url)
    summary = (
        f"> A prepaid gateway to models of several providers, at {origin}. One key calls every model through OpenAI's "
        "or Anthropic's protocol; a key stops at its spend limit, and every answer is charged exactly."
    )
    calls = (
        f"Calls go to {origin}/v1 with `Authorization: Bearer sk-...`; Anthropic's SDK takes {origin} and `x-api-key`. "
        f"`GET {origin}/v1/models` lists the models of a key with their prices."
    )
    lines = ["# ruapi", "", summary, "", calls]
    for section in dict.fromkeys(entry.section for entry in _DOCUMENTS):
        lines += ["", f"## {section}", ""]
        lines += [
            f"- [{entry.title}]({origin}/docs/{entry.slug}.md): {entry.summary}"
            for entry in _DOCUMENTS
            if entry.section == section
        ]
    lines += [
        "",
        "## Optional",
        "",
        f"- [Management API]({origin}/api/v1/docs): Keys, users, channels and prices, with management keys.",
        "",
    ]
    return "\n".join(lines)


def checked_base_url(base_url: str) -> str:
    """The base URL without a slash or ``/v1`` at its end. Raises ``InvalidInput`` when it is none."""
    origin = base_url.rstrip("/").removesuffix("/v1")
    if not _BASE_URL.fullmatch(origin):
        raise InvalidInput("the base URL must be http:// or https://, a host and perhaps a port and a path")
    return origin


# --- filling --------------------------------------------------------------------------------------


class _Rendered(NamedTuple):
    markdown: str
    html: Markup
    contents: tuple[Heading, ...]


@lru_cache(maxsize=RENDERED_MAX)
def _rendered(page: Document, origin: str, models: Examples) -> _Rendered:
    text = fill(_source(page.slug), _values(origin, models))
    tokens = _parser().parse(text)
    markup = Markup(_parser().renderer.render(tokens, _parser().options, {"origin": origin}))  # noqa: S704 - see above
    return _Rendered(f"# {page.title}\n\n> {page.summary}\n\n{text}", markup, tuple(_contents(tokens)))


@lru_cache(maxsize=len(_DOCUMENTS))
def _source(slug: str) -> str:
    return files("ruapi.console").joinpath("documents", f"{slug}.md").read_text(encoding="utf-8")


def fill(source: str, values: Mapping[str, Callable[[], str]]) -> str:
    """The source with each ``{{name}}`` replaced, in one pass. Raises ``KeyError`` for a name without a value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]](), source)


def _values(origin: str, models: Examples) -> dict[str, Callable[[], str]]:
    model = models.chat

    def command(dialect: str, *, stream: bool = False) -> Callable[[], str]:
        return lambda: fenced("sh", snippets.call(dialect, origin, model, stream=stream))

    values: dict[str, Callable[[], str]] = {
        "base_url": lambda: origin,
        "model_path": lambda: quote(model, safe=""),
        "call_chat": command("openai_chat"),
        "call_chat_stream": command("openai_chat", stream=True),
        "call_responses": command("openai_responses"),
        "call_responses_stream": command("openai_responses", stream=True),
        "call_messages": command("anthropic_messages"),
        "call_messages_stream": command("anthropic_messages", stream=True),
        "call_embeddings": lambda: _embeddings(origin, models.embedding),
        "call_count_tokens": lambda: fenced("sh", snippets.count_tokens(origin, model)),
        "env_file": lambda: fenced("sh", snippets.env_file(origin).rstrip("\n")),
        "errors_of_callers": lambda: _error_table(Refused),
        "errors_of_providers": lambda: _error_table(UpstreamFailed),
        "errors_of_the_gateway": lambda: _error_table(GatewayFault),
        "losses": _loss_table,
    }
    for snippet in snippets.snippets(origin, model):
        values[f"snippet_{snippet.id.replace('-', '_')}"] = lambda snippet=snippet: fenced(  # type: ignore[misc]
            snippet.language, snippet.text
        )
    return values


def _embeddings(origin: str, model: str | None) -> str:
    if model is None:
        return "At present this server has no such model."
    return fenced("sh", snippets.call("openai_embeddings", origin, model))


def fenced(language: str, text: str) -> str:
    """The text as a block of code, between fences longer than any within."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


# --- what is generated from the code -----------------------------------------------------------------

# Never answered themselves: those under them are.
_BASES = (Refused, UpstreamFailed, ProviderRefused)


def problems_under(base: type[Problem]) -> list[type[Problem]]:
    """The kinds of problem that a caller can be told, in the order of ``errors.py``."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, base)]
    return [kind for kind in kinds if kind not in _BASES]


def _error_table(base: type[Problem]) -> str:
    rows = [
        (str(kind.status), f"`{kind.code}`", "yes" if kind.retryable else "no", " ".join((kind.__doc__ or "").split()))
        for kind in sorted(problems_under(base), key=lambda kind: kind.status)
    ]
    return _table(("Status", "Code", "Try again", "Meaning"), rows)


def _loss_table() -> str:
    rows = [(f"`{name}`", severity, sentence) for name, (severity, sentence) in sorted(CATALOGUE.items())]
    return _table(("Name", "Severity", "What it says"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


# --- HTML -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, rule in {
        "heading_open": _heading_open,
        "table_open": _table_open,
        "table_close": _table_close,
        "th_open": _th_open,
        "fence": _fence,
        "link_open": _link_open,
    }.items():
        parser.add_render_rule(name, rule)
    parser.core.ruler.push("heading_ids", _give_ids)
    return parser


def _give_ids(state: Any) -> None:
    """Each heading gets an id out of its words, and a number behind it where two have the same words."""
    taken: dict[str, int] = {}
    for opening, inline in pairwise(state.tokens):
        if opening.type == "heading_open":
            words = re.sub(r"[^a-z0-9]+", "-", _plain_text(inline).lower()).strip("-") or "section"
            taken[words] = taken.get(words, 0) + 1
            opening.attrSet("id", words if taken[words] == 1 else f"{words}-{taken[words]}")


def _plain_text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in {"text", "code_inline"})


def _contents(tokens: list[Token]) -> list[Heading]:
    return [
        Heading(str(opening.attrGet("id")), _plain_text(inline))
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open" and opening.tag == "h2"
    ]


def _heading_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    environment["heading"] = _plain_text(tokens[index + 1])
    environment["tables"] = 0
    return renderer.renderToken(tokens, index, options, environment)


def _table_open(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:  # noqa: ARG001
    """A table may be wider than the page, so it scrolls inside a frame that the keyboard reaches."""
    environment["tables"] = number = environment.get("tables", 0) + 1
    label = f"Table: {environment.get('heading', 'overview')}" + (f" ({number})" if number > 1 else "")
    frame = f'<div class="table-scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
    return f'{frame}<table class="table-wrap">\n'


def _table_close(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:  # noqa: ARG001
    return "</table></div>\n"


def _th_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    tokens[index].attrSet("scope", "col")
    return renderer.renderToken(tokens, index, options, environment)


def _fence(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:  # noqa: ARG001
    """As the macro ``ui.code`` has it: the language, a Copy button, and code that scrolls across."""
    language = re.sub(r"[^a-z0-9-]", "", tokens[index].info.strip().lower()) or "text"
    environment["blocks"] = number = environment.get("blocks", 0) + 1
    words = _LANGUAGES.get(language, language)
    return (
        f'<div class="code"><div class="code-head"><span>{words}</span>{_COPY_BUTTON.format(number)}</div>'
        f'<pre tabindex="0" role="group" aria-label="{words} code">'
        f'<code id="code-{number}" class="language-{language}">'
        f"{escape(tokens[index].content.rstrip())}</code></pre></div>\n"
    )


def _link_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    """A link to another document goes to its page, one to another server says so."""
    target = str(tokens[index].attrGet("href") or "")
    linked = _DOCUMENT_LINK.fullmatch(target)
    if linked is not None:
        tokens[index].attrSet("href", f"/docs/{linked[1]}{linked[2] or ''}")
    elif "://" in target and target != environment["origin"] and not target.startswith(f"{environment['origin']}/"):
        tokens[index].attrSet("rel", "noopener")
    return renderer.renderToken(tokens, index, options, environment)
