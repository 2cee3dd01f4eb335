"""What hangs on a text: citations (``annotations``) and log probabilities.

The shapes are those of ``output_text`` in
https://platform.openai.com/docs/api-reference/responses/object#responses-object-output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruapi.canon.losses import unsupported_field
from ruapi.canon.parts import Citation, TokenLogprob
from ruapi.dialects.openai_responses.wire import Fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruapi.canon.losses import LossRecorder
    from ruapi.canon.parts import Origin
    from ruapi.dialects.openai_responses.wire import Blame

_DETAILS = ("cited_text", "unit", "source_start", "source_end")


def read_annotations(
    found: list[Any] | None, where: str, blame: Blame, *, origin: Origin, losses: LossRecorder
) -> tuple[Citation, ...]:
    """The citations of one text."""
    if not found:
        return ()
    citations = [
        read_annotation(Fields(entry, f"{where}[{index}]", blame), origin=origin, losses=losses)
        for index, entry in enumerate(found)
    ]
    return tuple(citation for citation in citations if citation is not None)


def read_annotation(fields: Fields, *, origin: Origin, losses: LossRecorder) -> Citation | None:
    """One citation. The container of a file travels as the citation's token."""
    match fields.text("type"):
        case "url_citation":
            return Citation(
                kind="url",
                url=fields.text("url"),
                title=fields.text("title"),
                answer_start=fields.count("start_index"),
                answer_end=fields.count("end_index"),
            )
        case "file_citation" | "file_path":
            return Citation(
                kind="file",
                file_id=fields.text("file_id"),
                title=fields.text("filename"),
                document_index=fields.count("index"),
                origin=origin,
            )
        case "container_file_citation":
            return Citation(
                kind="file",
                file_id=fields.text("file_id"),
                title=fields.text("filename"),
                token=fields.text("container_id"),
                answer_start=fields.count("start_index"),
                answer_end=fields.count("end_index"),
                origin=origin,
            )
        case kind:
            losses.note(unsupported_field(f"annotation.{kind}"))
            return None


def write_annotation(citation: Citation, *, text_length: int, losses: LossRecorder) -> dict[str, Any] | None:
    """One annotation; without a place in the answer it spans the whole text."""
    start = citation.answer_start or 0
    end = text_length if citation.answer_end is None else citation.answer_end
    if any(getattr(citation, name) is not None for name in _DETAILS):
        losses.add("citation_details")
    if citation.file_id is not None and citation.token is None:
        common = {"file_id": citation.file_id, "index": citation.document_index or 0}
        if citation.title is None:
            return {"type": "file_path", **common}
        return {"type": "file_citation", "filename": citation.title, **common}
    if citation.file_id is not None:
        return {
            "type": "container_file_citation",
            "container_id": citation.token,
            "file_id": citation.file_id,
            "filename": citation.title or "",
            "start_index": start,
            "end_index": end,
        }
    if citation.token is not None or citation.document_index is not None:
        losses.add("citation_details")
    if citation.url is None:
        losses.add("citations", detail=citation.title)
        return None
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "url": citation.url,
        "title": citation.title or citation.url,
    }


def write_annotations(citations: Sequence[Citation], *, text_length: int, losses: LossRecorder) -> list[dict[str, Any]]:
    """The annotations of one text."""
    written = [write_annotation(found, text_length=text_length, losses=losses) for found in citations]
    return [annotation for annotation in written if annotation is not None]


def read_logprobs(found: object, where: str, blame: Blame, *, depth: int = 0) -> tuple[TokenLogprob, ...]:
    """Log probabilities; entries that lack a token or a number, as in shortened alternatives, are left out."""
    if not found:
        return ()
    if type(found) is not list:
        raise Fields({}, where, blame).wrong("", "a list")
    read = []
    for index, entry in enumerate(found):
        fields = Fields(entry, f"{where}[{index}]", blame)
        token, logprob = fields.text("token"), fields.number("logprob")
        if token is None or logprob is None:
            continue
        octets = fields.list("bytes")
        if octets is not None and not all(type(octet) is int and 0 <= octet < 256 for octet in octets):
            raise fields.wrong("bytes", "a list of bytes")
        read.append(
            TokenLogprob(
                token=token,
                logprob=float(logprob),
                utf8=None if octets is None else tuple(octets),
                alternatives=()
                if depth
                else read_logprobs(fields.found.get("top_logprobs"), f"{where}[{index}].top_logprobs", blame, depth=1),
            )
        )
    return tuple(read)


def write_logprobs(found: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Log probabilities with all that the schema asks for; missing bytes are those of the token."""
    return [
        {
            "token": entry.token,
            "bytes": _octets(entry),
            "logprob": entry.logprob,
            "top_logprobs": [
                {"token": other.token, "bytes": _octets(other), "logprob": other.logprob}
                for other in entry.alternatives
            ],
        }
        for entry in found
    ]


def _octets(entry: TokenLogprob) -> list[int]:
    return list(entry.token.encode("utf-8", "replace") if entry.utf8 is None else entry.utf8)
