"""Docs: the documents with the reader's own base URL, as pages and as Markdown, and ``/llms.txt``."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from starlette.responses import PlainTextResponse, Response

from ruapi.console import documents, snippets
from ruapi.console.gate import get
from ruapi.console.visit import Visit

SECTION = "docs"
MARKDOWN = "text/markdown; charset=utf-8"


def show_index(visit: Visit) -> Response:
    """All documents, in reading order, and what every call needs: the base URL."""
    origin = documents.checked_base_url(visit.base_url)
    listed = groupby(documents.all_documents(), key=attrgetter("section"))
    return visit.render(
        "docs/index.html",
        title="Docs",
        section=SECTION,
        chapters=[(chapter, list(entries)) for chapter, entries in listed],
        origin=origin,
        check_key=snippets.check_key(origin),
    )


def show(visit: Visit) -> Response:
    """One document; ``.md`` at its end gives the source."""
    slug = visit.argument("slug")
    models = _models(visit)
    if slug.endswith(".md"):
        text = documents.markdown(slug.removesuffix(".md"), base_url=visit.base_url, models=models)
        return visit.finish(PlainTextResponse(text, media_type=MARKDOWN))
    document = documents.document(slug)
    return visit.render(
        "docs/document.html",
        title=document.title,
        section=SECTION,
        document=document,
        documents=documents.all_documents(),
        body=documents.html(slug, base_url=visit.base_url, models=models),
        headings=documents.contents(slug, base_url=visit.base_url, models=models),
    )


def _models(visit: Visit) -> documents.Examples:
    """Models that the reader can call, for the examples; strangers are shown none of what is for sale here."""
    if visit.user is None:
        return documents.UNKNOWN_MODELS
    return documents.examples_of(visit.parts.callable_models())


def llms(visit: Visit) -> Response:
    """The index for programs that read."""
    return visit.finish(PlainTextResponse(documents.llms_txt(base_url=visit.base_url)))


ROUTES = (
    get("/docs", show_index, access="anyone"),
    get("/docs/{slug}", show, access="anyone"),
    get("/llms.txt", llms, access="anyone"),
)
