"""Write docs/reference/api.md from the OpenAPI document.

::

    python -m ruapi.management.reference            # rewrites it
    python -m ruapi.management.reference --check    # exit code 5 when it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ruapi.management.app import api_document
from ruapi.management.document import INTRODUCTION, TAGS, Field, Operation, operations, shapes

PAGE = Path("docs") / "reference" / "api.md"
OUTDATED = 5


def api_page() -> str:
    """Every operation with its parameters, its body, an example and its answers."""
    listed = operations(api_document())
    lines = [
        "# The management API",
        "",
        INTRODUCTION.strip(),
        "",
        "A running server shows the same at `/api/v1/docs`, and for programs at `/api/v1/openapi.json`.",
        "",
        "Written by `python -m ruapi.management.reference`; a test holds it to the code.",
    ]
    for tag, about in TAGS.items():
        lines += ["", f"## {tag}", "", about]
        for operation in listed:
            if operation.tag == tag:
                lines += ["", *_section(operation)]
    lines += ["", "## Objects within answers"]
    for shape in shapes(api_document()):
        lines += ["", f"### {shape.name}", "", shape.about, *_table("Field", shape.fields, marks_required=False)]
    return "\n".join(lines) + "\n"


def _section(operation: Operation) -> Iterator[str]:
    yield f"### {operation.summary}"
    yield ""
    yield f"`{operation.method} {operation.path}`"
    yield ""
    yield operation.description
    yield from _table("Parameter", operation.parameters, marks_required=True)
    yield from _table("Field of the body", operation.body, marks_required=True)
    if operation.example is not None:
        yield ""
        yield "```json"
        yield operation.example
        yield "```"
    yield from _table(f"Field of the answer ({operation.status})", operation.answer, marks_required=False)
    yield ""
    yield f"Otherwise: {', '.join(code for code, _ in operation.refusals)}."


def _table(title: str, fields: tuple[Field, ...], *, marks_required: bool) -> Iterator[str]:
    if not fields:
        return
    yield ""
    yield f"| {title} | Type | Meaning |"
    yield "|---|---|---|"
    for field in fields:
        required = " (required)" if marks_required and field.is_required else ""
        yield f"| `{field.name}`{required} | {_cell(field.kind)} | {_cell(field.meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> int:
    """Write or check the page; returns the exit code."""
    page = api_page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        sys.stderr.write(f"{PAGE} is out of date: run python -m ruapi.management.reference\n")
        return OUTDATED
    return 0


if __name__ == "__main__":
    sys.exit(main())
