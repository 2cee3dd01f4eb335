"""Citations of the wire to and from canonical ones.

Five kinds, https://platform.claude.com/docs/en/build-with-claude/citations and .../search-results: a place
in a document by characters, pages or blocks, a place in a search result, and a page of a web search. They
belong to whole text blocks, so offsets within an answer have no place (4.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ruapi.canon.parts import Citation
from ruapi.dialects.anthropic_messages.wire import OWN, Reading, Wire

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder

_UNITS: dict[str, tuple[Literal["character", "page", "block"], str, str]] = {
    "char_location": ("character", "start_char_index", "end_char_index"),
    "page_location": ("page", "start_page_number", "end_page_number"),
    "content_block_location": ("block", "start_block_index", "end_block_index"),
}
_TYPES = {unit: (kind, start, end) for kind, (unit, start, end) in _UNITS.items()}


def read_citations(value: Any, reading: Reading, where: str) -> tuple[Citation, ...]:
    """The citations of a text block, without those of unknown kinds."""
    found = (
        read_citation(entry, reading, f"{where}.citations.{position}")
        for position, entry in enumerate(reading.items(value, f"{where}.citations"))
    )
    return tuple(citation for citation in found if citation is not None)


def read_citation(value: Any, reading: Reading, where: str) -> Citation | None:
    """One citation; None, and a loss, if its kind is unknown."""
    entry = reading.mapping(value, where)
    kind = entry.get("type")
    cited = reading.optional_text(entry, "cited_text", where)
    if kind == "web_search_result_location":
        token = reading.optional_text(entry, "encrypted_index", where) or None
        return Citation(
            kind="url",
            url=reading.optional_text(entry, "url", where),
            title=reading.optional_text(entry, "title", where),
            cited_text=cited,
            token=token,
            origin=reading.origin if token else None,
        )
    if kind == "search_result_location":
        return Citation(
            kind="search_result",
            url=reading.optional_text(entry, "source", where),
            title=reading.optional_text(entry, "title", where),
            cited_text=cited,
            document_index=reading.optional_integer(entry, "search_result_index", where),
            unit="block",
            source_start=reading.optional_integer(entry, "start_block_index", where),
            source_end=reading.optional_integer(entry, "end_block_index", where),
        )
    if type(kind) is not str or kind not in _UNITS:
        reading.losses.add("citation_details", where=where, detail=kind)
        return None
    unit, start, end = _UNITS[kind]
    file_id = reading.optional_text(entry, "file_id", where)
    return Citation(
        kind="document",
        title=reading.optional_text(entry, "document_title", where),
        cited_text=cited,
        document_index=reading.optional_integer(entry, "document_index", where),
        unit=unit,
        source_start=reading.optional_integer(entry, start, where),
        source_end=reading.optional_integer(entry, end, where),
        file_id=file_id,
        origin=reading.origin if file_id else None,
    )


def write_citation(citation: Citation, losses: LossRecorder) -> Wire | None:
    """A citation for an answer to a client, complete enough for the SDK; None, and a loss, if it has no place."""
    if citation.answer_start is not None or citation.answer_end is not None:
        losses.add("citation_details")
    own = citation.origin is not None and citation.origin.dialect == OWN
    if citation.kind == "url":
        if citation.token and not own:
            losses.add("citation_details")
        return {
            "type": "web_search_result_location",
            "cited_text": citation.cited_text or "",
            "url": citation.url or "",
            "title": citation.title,
            "encrypted_index": citation.token or "" if own else "",
        }
    if citation.kind == "search_result":
        return {
            "type": "search_result_location",
            "cited_text": citation.cited_text or "",
            "source": citation.url or "",
            "title": citation.title,
            "search_result_index": citation.document_index or 0,
            "start_block_index": citation.source_start or 0,
            "end_block_index": citation.source_end or 0,
        }
    if citation.document_index is None:
        losses.add("citation_details", detail=citation.kind)
        return None
    kind, start, end = _TYPES[citation.unit or "character"]
    written: Wire = {
        "type": kind,
        "cited_text": citation.cited_text or "",
        "document_index": citation.document_index,
        "document_title": citation.title,
        start: citation.source_start or 0,
        end: citation.source_end or 0,
    }
    if citation.file_id and own:
        written["file_id"] = citation.file_id
    return written


def replay_citation(citation: Citation, losses: LossRecorder, *, replayable: bool) -> Wire | None:
    """A citation for the history sent upstream.

    A page of a web search is known there by its token alone, so without a replayable one there is none.
    ``file_id`` occurs in answers only.
    """
    if citation.kind == "url" and not (citation.token and replayable):
        losses.add("citation_details")
        return None
    written = write_citation(citation, losses)
    if written is not None:
        written.pop("file_id", None)
    return written
