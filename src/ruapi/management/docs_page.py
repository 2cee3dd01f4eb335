"""The docs page: the OpenAPI document as plain HTML, made here once. No script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from markdown_it import MarkdownIt

from ruapi.management.authenticate import DOCUMENT_PATH
from ruapi.management.document import TAGS, Field, Operation, Shape, operations, shapes

POLICY = (
    "default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def render(document: Mapping[str, Any]) -> str:
    """The whole page."""
    listed = operations(document)
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>API reference - {escape(document['info']['title'])}</title>",
            '<link rel="stylesheet" href="/static/console.css">',
            "</head>",
            "<body>",
            '<a class="skip-link" href="#content">Skip to content</a>',
            '<main id="content" class="content stack" tabindex="-1">',
            '<nav class="breadcrumbs" aria-label="Breadcrumbs"><ol>',
            '<li><a href="/overview">ruapi</a></li>',
            '<li><a href="/docs">Docs</a></li>',
            '<li><span aria-current="page">Management API</span></li>',
            "</ol></nav>",
            '<div class="prose">',
            f"<h1>{escape(document['info']['title'])}</h1>",
            MarkdownIt("commonmark", {"html": False}).render(document["info"]["description"]),
            f'<p>The same for programs: <a href="{DOCUMENT_PATH}">openapi.json</a>.</p>',
            *_statuses(listed),
            *_contents(listed),
            "</div>",
            *(line for tag in TAGS for line in _section(tag, listed)),
            "<h2>Objects within answers</h2>",
            *(line for shape in shapes(document) for line in _shape(shape)),
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def _statuses(listed: Iterable[Operation]) -> Iterator[str]:
    meanings = dict(refusal for operation in listed for refusal in operation.refusals)
    yield "<h2>Statuses</h2>"
    yield "<ul>"
    yield "<li>200 and 201: done.</li>"
    yield from (f"<li>{code}: {escape(meaning)}</li>" for code, meaning in sorted(meanings.items()))
    yield "</ul>"


def _contents(listed: Iterable[Operation]) -> Iterator[str]:
    yield "<h2>Operations</h2>"
    yield '<nav aria-label="Operations"><ul>'
    for operation in listed:
        target = escape(operation.name)
        yield (
            f'<li><a href="#{target}"><code>{operation.method} {escape(operation.path)}</code></a> '
            f"{escape(operation.summary)}</li>"
        )
    yield "</ul></nav>"


def _section(tag: str, listed: Iterable[Operation]) -> Iterator[str]:
    yield f"<h2>{escape(tag)}</h2>"
    yield f"<p>{escape(TAGS[tag])}</p>"
    for operation in listed:
        if operation.tag == tag:
            yield from _operation(operation)


def _operation(operation: Operation) -> Iterator[str]:
    yield f'<section class="stack-8" aria-labelledby="{escape(operation.name)}">'
    yield f'<h3 id="{escape(operation.name)}">{escape(operation.summary)}</h3>'
    yield f"<p><code>{operation.method} {escape(operation.path)}</code></p>"
    for paragraph in operation.description.split("\n\n"):
        yield f"<p>{escape(paragraph)}</p>"
    yield from _table("Parameters", operation.summary, operation.parameters)
    yield from _table("Body" if operation.body_is_required else "Body (optional)", operation.summary, operation.body)
    if operation.example is not None:
        yield f'<div class="code"><pre tabindex="0"><code>{escape(operation.example)}</code></pre></div>'
    yield from _table(f"Answer {operation.status}", operation.summary, operation.answer)
    yield f"<p>Otherwise: {', '.join(code for code, _ in operation.refusals)}.</p>"
    yield "</section>"


def _shape(shape: Shape) -> Iterator[str]:
    yield f'<h3 id="{escape(shape.name)}">{escape(shape.name)}</h3>'
    yield f"<p>{escape(shape.about)}</p>"
    yield from _table("Fields", shape.name, shape.fields)


def _table(caption: str, of: str, fields: tuple[Field, ...]) -> Iterator[str]:
    if not fields:
        return
    yield f"<h4>{escape(caption)}</h4>"
    yield f'<div class="table-scroll" tabindex="0" role="region" aria-label="{escape(f"{caption}: {of}")}">'
    yield '<table class="table-wrap">'
    yield '<thead><tr><th scope="col">Name</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>'
    yield "<tbody>"
    for field in fields:
        required = " (required)" if field.is_required and caption.startswith(("Parameters", "Body")) else ""
        yield (
            f'<tr><th scope="row"><code>{escape(field.name)}</code>{required}</th>'
            f"<td>{escape(field.kind)}</td><td>{escape(field.meaning)}</td></tr>"
        )
    yield "</tbody></table></div>"
