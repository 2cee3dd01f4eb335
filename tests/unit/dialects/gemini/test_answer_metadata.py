"""Usage, citations and log probabilities in Gemini answers."""

from __future__ import annotations

import msgspec
import pytest

from ruapi.canon.parts import (
    Citation,
    Origin,
    Reasoning,
    Signature,
    Text,
    TokenLogprob,
)
from ruapi.canon.response import fold
from ruapi.canon.usage import Usage
from ruapi.dialects.dialect import UpstreamContext
from ruapi.dialects.gemini.codec import CODEC

GOOGLE = Origin(dialect="gemini", issuer="google")


def context(**more):
    return UpstreamContext(origin=GOOGLE, response_id="r", **more)


def stream(*documents, **more):
    """The answer of a stream; as a side effect the events are checked against the grammar."""
    decoder = CODEC.stream_decoder(context(**more))
    events = []
    for document in documents:
        events += decoder.feed(b"data: " + msgspec.json.encode(document) + b"\r\n\r\n")
    return fold(events + decoder.finish())


def whole(document, **more):
    """The answer of one body, which must be that of a stream of one frame."""
    answer = CODEC.decode_response(msgspec.json.encode(document), context(**more))
    if answer.error is None and "finishReason" in document["candidates"][0]:
        assert answer == stream(document, **more)
    return answer


def candidate(*parts, reason="STOP", **more):
    found = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    if reason:
        found["finishReason"] = reason
    return {"candidates": [found]}


def parts_of(*parts, **more):
    return whole(candidate(*parts), **more).choices[0].parts


def signature(value, **more):
    return Signature(origin=GOOGLE, kind="encrypted", value=value, **more)


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5}, Usage(input_tokens=10, output_tokens=5)),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7},
            Usage(input_tokens=10, output_tokens=12, reasoning_tokens=7),
        ),
        (
            {"promptTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 17},
            Usage(input_tokens=10, output_tokens=7, reasoning_tokens=7),
        ),
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 1},
            Usage(input_tokens=6, cache_read_tokens=4, output_tokens=1),
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 30, "candidatesTokenCount": 1},
            Usage(input_tokens=40, output_tokens=1),
        ),
        ({"promptTokenCount": 10}, Usage(input_tokens=10)),
        ({"candidatesTokenCount": 3}, Usage(output_tokens=3)),
        ({"promptTokenCount": None, "candidatesTokenCount": -1}, None),
        ({"trafficType": "ON_DEMAND"}, None),
        ({}, None),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 20,
                "candidatesTokenCount": 50,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 30},
                    {"modality": "AUDIO", "tokenCount": 40},
                    {"modality": "IMAGE", "tokenCount": 30},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 50}],
            },
            Usage(
                input_tokens=80,
                cache_read_tokens=20,
                output_tokens=50,
                input_audio_tokens=20,
                input_image_tokens=30,
                cache_read_audio_tokens=20,
                output_image_tokens=50,
            ),
        ),
    ],
)
def test_usage(metadata, usage):
    assert whole({**candidate({"text": "a"}), "usageMetadata": metadata}).usage == usage


@pytest.mark.parametrize(
    ("metadata", "tier"),
    [
        ({"promptTokenCount": 1, "serviceTier": "flex"}, "flex"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"serviceTier": "odd"}, None),
    ],
)
def test_tiers(metadata, tier):
    assert whole({**candidate({"text": "a"}), "usageMetadata": metadata}).service_tier == tier


def test_later_counts_replace_earlier_ones():
    answer = stream(
        {**candidate({"text": "a"}, reason=None), "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}},
        {**candidate({"text": "b"}, reason=None), "usageMetadata": {"promptTokenCount": 9, "thoughtsTokenCount": 4}},
        {**candidate({"text": "c"}), "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2}},
    )
    assert answer.usage == Usage(input_tokens=9, output_tokens=6, reasoning_tokens=4)


def test_classes_without_a_place_are_named():
    details = [{"modality": "VIDEO", "tokenCount": 5}]
    answer = whole(
        {**candidate({"text": "a"}), "usageMetadata": {"promptTokenCount": 5, "promptTokensDetails": details}}
    )
    assert [found.name for found in answer.losses] == ["usage_details"]


# --- citations and log probabilities --------------------------------------------------------------


def grounding(*segments, **more):
    return {
        "groundingChunks": [
            {"web": {"uri": "https://a.example", "title": "A"}},
            {"retrievedContext": {"uri": "gs://x", "title": "B", "text": "words"}},
        ],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]} for segment in segments],
        **more,
    }


def cited(answer):
    return [
        (found.title, found.answer_start, found.answer_end)
        for part in answer.choices[0].parts
        if isinstance(part, Text)
        for found in part.citations
    ]


def test_offsets_are_turned_from_bytes_into_code_points():
    answer = whole(
        candidate(
            {"text": "Größe: 5 €. Ja."},
            groundingMetadata=grounding({"startIndex": 3, "endIndex": 16, "text": "öße: 5 €."}),
        )
    )
    assert cited(answer) == [("A", 2, 11), ("B", None, None)]  # its offsets are wrong, its words are not
    answer = whole(
        candidate(
            {"text": "Größe: 5 €. Ja."},
            groundingMetadata=grounding({"startIndex": 9, "endIndex": 15, "text": "5 €."}),
        )
    )
    assert cited(answer) == [("A", 7, 11), ("B", None, None)]


def test_sources_without_a_segment_cite_the_whole_part():
    answer = whole(candidate({"text": "abc"}, groundingMetadata=grounding()))
    assert answer.choices[0].parts[0].citations == (
        Citation(kind="url", url="https://a.example", title="A"),
        Citation(kind="file", url="gs://x", title="B", cited_text="words"),
    )


def test_streams_count_from_the_start_of_all_text():
    said = {"startIndex": 3, "endIndex": 6, "text": "def"}
    answer = stream(
        candidate({"text": "abc"}, reason=None),
        candidate({"text": "def"}, reason=None),
        candidate({"text": ""}, groundingMetadata=grounding(said, webSearchQueries=["q1", "q2"])),
        candidate({"text": ""}, groundingMetadata=grounding(said, webSearchQueries=["q1", "q2"])),
    )
    assert cited(answer) == [("A", 3, 6), ("B", None, None)]
    assert answer.usage == Usage(web_search_requests=2)


def test_a_later_text_part_is_cited_from_its_own_start():
    answer = whole(
        candidate(
            {"text": "abc"},
            {"executableCode": {"code": "1"}},
            {"text": "def"},
            groundingMetadata=grounding({"startIndex": 4, "endIndex": 6, "text": "ef"}),
        )
    )
    assert cited(answer)[0] == ("A", 1, 3)


def test_citations_come_before_the_signature_that_closes_their_text():
    answer = stream(
        candidate({"text": "abc"}, reason=None),
        candidate({"text": "", "thoughtSignature": "S"}, reason=None),
        candidate(groundingMetadata=grounding({"endIndex": 3, "text": "abc"})),
    )
    assert cited(answer)[0] == ("A", 0, 3)
    assert isinstance(answer.choices[0].parts[1], Reasoning)


def test_what_cannot_be_placed_is_named():
    answer = whole(candidate({"functionCall": {"name": "f"}}, groundingMetadata=grounding()))
    assert [found.name for found in answer.losses] == ["citations"]
    answer = whole(candidate({"text": "a"}, groundingMetadata={"searchEntryPoint": {"renderedContent": "<p>"}}))
    assert [found.name for found in answer.losses] == ["field.groundingmetadata.searchentrypoint"]


def test_recitations():
    answer = whole(
        candidate(
            {"text": "to be or not"},
            citationMetadata={
                "citations": [{"startIndex": 3, "endIndex": 5, "uri": "https://x.example", "license": "mit"}]
            },
        )
    )
    assert answer.choices[0].parts[0].citations == (
        Citation(kind="url", url="https://x.example", answer_start=3, answer_end=5),
    )
    assert [found.name for found in answer.losses] == ["citation_details"]


def test_log_probabilities():
    chosen = [{"token": "a", "tokenId": 5, "logProbability": -0.5}, {"token": "b", "logProbability": -1}]
    tops = [{"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "z", "logProbability": -2}]}]
    answer = whole(
        candidate(
            {"text": "ab"},
            avgLogprobs=-0.1,
            logprobsResult={"chosenCandidates": chosen, "topCandidates": tops},
        )
    )
    assert answer.choices[0].parts[0].logprobs == (
        TokenLogprob(
            token="a",
            logprob=-0.5,
            alternatives=(TokenLogprob(token="a", logprob=-0.5), TokenLogprob(token="z", logprob=-2.0)),
        ),
        TokenLogprob(token="b", logprob=-1.0),
    )
    assert answer.losses == ()


def test_fields_nobody_knows_are_named():
    answer = whole({**candidate({"text": "a", "odd": 1}, strange=2), "novel": 3})
    assert {found.name for found in answer.losses} == {"field.odd", "field.strange", "field.novel"}


def test_grounding_after_every_word_takes_no_quadratic_time():
    segment = {"startIndex": 5, "endIndex": 9, "text": "none"}
    documents = [
        candidate({"text": "ü" * 2_000}, reason=None, groundingMetadata=grounding(segment)) for _ in range(500)
    ]
    assert "citation_details" in {found.name for found in stream(*documents).losses}
