"""Where an answer comes from: ``groundingMetadata`` and ``citationMetadata``, both ways.

https://ai.google.dev/api/generate-content#GroundingMetadata and
https://ai.google.dev/api/generate-content#CitationMetadata

Segments count UTF-8 bytes. The documentation says that they start at their part; in streams, where parts are
pieces, they really count from the start of all the text. A segment also repeats its words, so these decide.

A citation belongs to one text part, and events can add it only while that part is open. So what cites an
earlier part loses its place, and without any open text it is lost.
"""

from __future__ import annotations

from typing import Any

from ruapi.canon.losses import LossRecorder
from ruapi.canon.parts import Citation, Origin
from ruapi.dialects.gemini.wire import ANSWER
from ruapi.dialects.passage import text_bytes

CITATIONS_MAX = 4_096
_SEARCHES_MAX = 64
_BLOCK_BYTES = 1_024
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))

# Parts of the metadata that say nothing about what is cited.
UNREAD_FIELDS = ("searchEntryPoint", "googleMapsWidgetContextToken", "retrievalMetadata", "imageSearchQueries")


class ByteOffsets:
    """Both ways between offsets in bytes and in code points of one text."""

    __slots__ = ("_counts", "data", "is_ascii", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode("utf-8", "replace")
        self.is_ascii = text.isascii()
        self._counts: list[int] = []  # code points before each block
        count = 0
        for start in range(0, 0 if self.is_ascii else len(self.data), _BLOCK_BYTES):
            self._counts.append(count)
            count += _code_points(self.data[start : start + _BLOCK_BYTES])

    def code_points(self, offset: int) -> int:
        """How many code points start before this byte."""
        offset = min(max(offset, 0), len(self.data))
        if self.is_ascii:
            return offset
        block = min(offset // _BLOCK_BYTES, len(self._counts) - 1)
        return self._counts[block] + _code_points(self.data[block * _BLOCK_BYTES : offset])

    def octets(self, offset: int) -> int:
        """How many bytes the code points before this one take."""
        return offset if self.is_ascii else len(self.text[:offset].encode("utf-8", "replace"))


def _code_points(data: bytes) -> int:
    return len(data.translate(None, _CONTINUATION_BYTES))


class TextSoFar:
    """The words of the open text part, kept for citations as long as they are not too many."""

    __slots__ = ("_length_max", "_offsets", "_pieces", "_work_max", "length", "octets")

    def __init__(self, *, length_max: int) -> None:
        self._length_max = length_max
        self._work_max = 16 * length_max  # citations after every word must not take quadratic time
        self._pieces: list[str] = []
        self._offsets: ByteOffsets | None = None
        self.length = 0
        self.octets = 0

    def add(self, text: str) -> None:
        """Take in more words."""
        self.length += len(text)
        self.octets += text_bytes(text)
        self._offsets = None
        if self.length > self._length_max:
            self._pieces.clear()
        else:
            self._pieces.append(text)

    def offsets(self) -> ByteOffsets | None:
        """The offsets of all of it, or None when it was too much to keep."""
        if self.length > self._length_max:
            return None
        if self._offsets is None:
            self._work_max -= self.length
            if self._work_max < 0:
                return None
            self._offsets = ByteOffsets("".join(self._pieces))
        return self._offsets


# --- from the wire --------------------------------------------------------------------------------


class GroundingDecoder:
    """Turns the metadata of one candidate into citations, each of them once."""

    __slots__ = ("_losses", "_origin", "_searches", "_seen")

    def __init__(self, origin: Origin, losses: LossRecorder) -> None:
        self._origin = origin
        self._losses = losses
        self._seen: set[Citation] = set()
        self._searches = 0

    def grounding(self, metadata: dict[str, Any], offsets: ByteOffsets | None, bytes_before: int) -> list[Citation]:
        """The citations that are new in this ``groundingMetadata``."""
        chunks = [
            self._source(ANSWER.mapping(chunk, "groundingChunks"))
            for chunk in ANSWER.sequence(metadata.get("groundingChunks"), "groundingChunks")[:CITATIONS_MAX]
        ]
        found: list[Citation] = []
        used: set[int] = set()
        for entry in ANSWER.sequence(metadata.get("groundingSupports"), "groundingSupports"):
            support = ANSWER.mapping(entry, "groundingSupports")
            segment = ANSWER.mapping(support.get("segment"), "segment")
            start, end = self._place(segment, offsets, bytes_before)
            if support.get("confidenceScores"):
                self._losses.add("citation_details", where="groundingSupports.confidenceScores")
            for index in ANSWER.sequence(support.get("groundingChunkIndices"), "groundingChunkIndices"):
                number = ANSWER.integer(index, "groundingChunkIndices")
                if number is None or not 0 <= number < len(chunks):
                    continue
                used.add(number)
                self._add(chunks[number], start, end, found)
        for number, chunk in enumerate(chunks):
            if number not in used:
                self._add(chunk, None, None, found)
        return found

    def attributions(self, metadata: dict[str, Any], offsets: ByteOffsets | None, bytes_before: int) -> list[Citation]:
        """The citations that are new in this ``citationMetadata``."""
        found: list[Citation] = []
        entries = metadata.get("citations") or metadata.get("citationSources")
        for entry in ANSWER.sequence(entries, "citations"):
            citation = ANSWER.mapping(entry, "citations")
            uri, title = citation.get("uri"), citation.get("title")
            if citation.get("license") or citation.get("publicationDate"):
                self._losses.add("citation_details", where="citationMetadata")
            start, end = self._place(citation, offsets, bytes_before)
            source = Citation(kind="url", url=_text(uri), title=_text(title))
            self._add(source, start, end, found)
        return found

    def _add(self, source: Citation, start: int | None, end: int | None, found: list[Citation]) -> None:
        citation = Citation(
            kind=source.kind,
            url=source.url,
            title=source.title,
            cited_text=source.cited_text,
            answer_start=start,
            answer_end=end,
            file_id=source.file_id,
            origin=source.origin,
        )
        if citation in self._seen:
            return
        if len(self._seen) >= CITATIONS_MAX:
            self._losses.add("citations")
            return
        self._seen.add(citation)
        found.append(citation)

    def _source(self, chunk: dict[str, Any]) -> Citation:
        for name in ("web", "maps", "image"):
            if name in chunk:
                page = ANSWER.mapping(chunk[name], name)
                url = _text(page.get("uri")) or _text(page.get("sourceUri"))
                return Citation(kind="url", url=url, title=_text(page.get("title")))
        context = ANSWER.mapping(chunk.get("retrievedContext"), "retrievedContext")
        document = _text(context.get("documentName")) or _text(context.get("fileSearchStore"))
        return Citation(
            kind="file",
            url=_text(context.get("uri")),
            title=_text(context.get("title")),
            cited_text=_text(context.get("text")),
            file_id=document,
            origin=self._origin if document else None,
        )

    def _place(
        self, segment: dict[str, Any], offsets: ByteOffsets | None, bytes_before: int
    ) -> tuple[int | None, int | None]:
        start = ANSWER.integer(segment.get("startIndex"), "startIndex") or 0
        end = ANSWER.integer(segment.get("endIndex"), "endIndex")
        if end is None:
            return None, None
        if offsets is not None and 0 <= start <= end:
            words = _text(segment.get("text"))
            for base in (0, bytes_before):
                first, last = start - base, end - base
                if 0 <= first <= last <= len(offsets.data) and _says(offsets, first, last, words):
                    return offsets.code_points(first), offsets.code_points(last)
            if words and self._searches < _SEARCHES_MAX:
                self._searches += 1
                position = offsets.text.find(words)
                if position >= 0:
                    return position, position + len(words)
        self._losses.add("citation_details")
        return None, None


def _says(offsets: ByteOffsets, first: int, last: int, words: str | None) -> bool:
    if not words:
        return True
    expected = words.encode("utf-8", "replace")
    return len(expected) == last - first and offsets.data.startswith(expected, first)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def search_queries(metadata: dict[str, Any]) -> int | None:
    """How many searches the metadata tells of, or None if it does not."""
    queries = metadata.get("webSearchQueries")
    if not isinstance(queries, list):
        return None
    return len({query for query in queries if isinstance(query, str) and query})


# --- to the wire ----------------------------------------------------------------------------------


class GroundingEncoder:
    """Collects the citations of one candidate and writes its ``groundingMetadata``."""

    __slots__ = ("_chunks", "_losses", "_numbers", "_supports")

    def __init__(self, losses: LossRecorder) -> None:
        self._losses = losses
        self._chunks: list[dict[str, Any]] = []
        self._numbers: dict[tuple[str, str | None, str | None, str | None], int] = {}
        self._supports: list[dict[str, Any]] = []

    def add(
        self, citations: list[Citation], offsets: ByteOffsets | None, *, part_index: int, bytes_before: int
    ) -> None:
        """Take in the citations of one text part; ``bytes_before`` is the text of its candidate before it."""
        for citation in citations:
            if len(self._supports) >= CITATIONS_MAX:
                self._losses.add("citations")
                return
            self._add(citation, offsets, part_index, bytes_before)

    def _add(self, citation: Citation, offsets: ByteOffsets | None, part_index: int, bytes_before: int) -> None:
        number = self._number(citation)
        if citation.token or citation.source_start is not None or citation.document_index is not None:
            self._losses.add("citation_details")
        support: dict[str, Any] = {"groundingChunkIndices": [number]}
        start, end = citation.answer_start, citation.answer_end
        if offsets is None:
            self._losses.add("citation_details")
        elif start is not None and end is not None:
            first, last = offsets.octets(max(0, start)), offsets.octets(max(0, end))
            segment: dict[str, Any] = {
                "startIndex": first + bytes_before,
                "endIndex": last + bytes_before,
                "text": offsets.text[max(0, start) : max(0, end)],
            }
            if part_index:
                segment["partIndex"] = part_index
            support["segment"] = segment
        self._supports.append(support)

    def _number(self, citation: Citation) -> int:
        key = (citation.kind, citation.url, citation.title, citation.cited_text)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._chunks)
            self._chunks.append(self._chunk(citation))
        return number

    def _chunk(self, citation: Citation) -> dict[str, Any]:
        named = {"uri": citation.url, "title": citation.title}
        fields: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if citation.kind in {"url", "search_result"} and citation.url is not None:
            if citation.cited_text is not None:
                self._losses.add("citation_details")
            return {"web": fields}
        if citation.cited_text is not None:
            fields["text"] = citation.cited_text
        if citation.file_id is not None:
            if citation.origin is not None and citation.origin.dialect == "gemini":
                fields["documentName"] = citation.file_id
            else:
                self._losses.add("citation_details")
        return {"retrievedContext": fields}

    def metadata(self) -> dict[str, Any]:
        """``groundingMetadata``, or nothing."""
        if not self._chunks:
            return {}
        return {"groundingChunks": self._chunks, "groundingSupports": self._supports}
