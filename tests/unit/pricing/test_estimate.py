"""How many input tokens a request will come to: an estimate that errs high."""

from __future__ import annotations

import base64
import json
import random
import zlib

import pytest

from ruapi.pricing.estimate import (
    HOSTED_TOOL_TOKENS,
    UNSEEN_HISTORY_TOKENS,
    UNSEEN_PAGES,
    count_output,
    count_output_bytes,
    estimate_input,
)

PROSE = "The quick brown fox jumps over the lazy dog. "


def estimate(document, *, context_tokens=None, ascii_only=False):
    body = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    return estimate_input(body, document, context_tokens=context_tokens)


def chat(content, **more):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **more}


def text_tokens(text, **more):
    return estimate(chat(text, **more)) - estimate(chat("", **more))


# (text, tokens that a tokenizer of today or yesterday may need for it, how many times more we may hold)
TEXTS = {
    "prose": (PROSE * 100, 1_000, 2.2),
    "code": ("    for index in range(10):\n        total += values[index] * 2\n" * 20, 440, 2.5),
    "digits": ("3141592653589793" * 20, 320, 1.1),
    "Han": ("人工智能改变世界" * 50, 520, 1.7),
    "Cyrillic": ("искусственный интеллект " * 50, 550, 2.5),
    "emoji": ("🦊🐕" * 50, 300, 1.4),
    "Tibetan": ("བོད་ཡིག" * 30, 500, 1.4),
}


@pytest.mark.parametrize("script", TEXTS)
def test_every_script_is_covered_without_waste(script):
    text, least, waste_max = TEXTS[script]
    assert least <= text_tokens(text) <= least * waste_max
    assert text_tokens(text) <= len(text.encode()) * 2


def test_random_base64_and_hexadecimal_are_dense():
    noise = random.Random(7).randbytes(3_000)
    assert text_tokens(base64.b64encode(noise).decode()) >= 4_000 * 0.68
    assert text_tokens(noise.hex()) >= 6_000 * 0.7


def test_letters_without_a_break_are_no_prose():
    letters = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=3_000))
    assert text_tokens(letters) >= 3_000 * 0.6


def test_escapes_are_weighed_as_what_they_mean():
    document = chat("人工智能" * 200)
    plain = estimate(document)
    assert plain <= estimate(document, ascii_only=True) <= plain * 1.05


def test_newer_claude_models_need_more_tokens_for_the_same_text():
    older = estimate({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": PROSE * 100}]})
    newer = estimate({"model": "claude-opus-4-8", "messages": [{"role": "user", "content": PROSE * 100}]})
    assert newer > older * 1.3


def test_no_prompt_is_larger_than_the_context():
    assert estimate(chat(PROSE * 1_000), context_tokens=4_096) == 4_096


# --- media ---

IMAGE = base64.b64encode(random.Random(1).randbytes(60_000)).decode()
URL = "https://example.com/cat.png"


def pdf(pages, *, packed=False):
    objects = b"".join(b"%d 0 obj <</Type /Page /Parent 1 0 R>> endobj\n" % page for page in range(pages))
    objects = b"1 0 obj <</Type /Pages>> endobj\n" + objects
    if packed:
        stream = zlib.compress(objects)
        objects = b"2 0 obj <</Type/ObjStm/N %d/Length %d>>stream\n%s\nendstream" % (
            pages,
            len(stream),
            stream,
        )
    return base64.b64encode(b"%PDF-1.7\n" + objects).decode()


def said(field, content, *, model):
    return {"model": model, field: [{"role": "user", "content": content}]}


def image_parts(data):
    """One picture in every place where a dialect may carry one."""
    url = f"data:image/png;base64,{data}"
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    result = {"type": "tool_result", "content": [block]}
    picture = {"type": "input_image", "image_url": url}
    screenshot = {"type": "computer_screenshot", "image_url": url}
    blob = {"inlineData": {"mimeType": "image/png", "data": data}}
    snake_blob = {"inline_data": {"mime_type": "image/png", "data": data}}
    answer = {"functionResponse": {"response": {}, "parts": [snake_blob]}}
    return {
        "chat": chat([{"type": "image_url", "image_url": {"url": url}}]),
        "responses": said("input", [picture], model="gpt-4o"),
        "messages": said("messages", [block], model="claude-sonnet-4-5"),
        "tool result": said("messages", [result], model="claude-sonnet-4-5"),
        "gemini": {"contents": [{"parts": [blob]}]},
        "gemini tool": {"contents": [{"parts": [answer]}]},
        "tool output": {"model": "gpt-5", "input": [{"type": "function_call_output", "output": [picture]}]},
        "screenshot": {"model": "gpt-5", "input": [{"type": "computer_call_output", "output": screenshot}]},
        "generated": {"model": "gpt-5", "input": [{"type": "image_generation_call", "result": data}]},
    }


@pytest.mark.parametrize("where", image_parts(""))
def test_a_picture_has_a_ceiling_whatever_its_bytes(where):
    tokens = estimate(image_parts(IMAGE)[where])
    assert 1_600 <= tokens <= 6_500
    assert tokens == estimate(image_parts(IMAGE[:400])[where])


def test_a_picture_in_low_detail_is_cheap():
    def part(detail):
        return chat([{"type": "image_url", "image_url": {"url": URL, "detail": detail}}])

    assert estimate(part("low")) < estimate(part("high")) < estimate(part("original"))


def test_media_inside_a_tools_arguments_are_text():
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PROSE * 200}}
    document = {
        "model": "claude-sonnet-4-5",
        "messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": block}]}],
    }
    assert estimate(document) > 200 * 10


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("pages", [1, 7])
def test_a_pdf_counts_by_its_pages(pages, packed):
    part = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{pdf(pages, packed=packed)}"}}
    assert pages * 5_500 <= estimate(chat([part])) <= pages * 5_500 + 300


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}},
    ],
)
def test_a_document_behind_a_reference_is_assumed_to_be_long(part):
    field = "contents" if "fileData" in part else "messages"
    items = [{"parts": [part]}] if "fileData" in part else [{"role": "user", "content": [part]}]
    assert estimate({field: items}) >= UNSEEN_PAGES * 1_200


def test_a_text_file_in_base64_counts_as_its_text():
    data = base64.b64encode((PROSE * 100).encode()).decode()
    document = {"contents": [{"parts": [{"inlineData": {"mimeType": "text/plain", "data": data}}]}]}
    assert 1_000 <= estimate(document) <= 2_300


def test_sound_counts_by_its_length_in_bytes():
    data = base64.b64encode(bytes(100_000)).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    assert 5_000 <= estimate(chat([part])) <= 6_000


def test_damaged_base64_is_no_error():
    part = {"inlineData": {"mimeType": "application/pdf", "data": "%%%not base64%%%"}}
    assert estimate({"contents": [{"parts": [part]}]}) > 1_000


# --- what cannot be seen ---


def test_hosted_tools_read_and_functions_do_not():
    function = {"type": "function", "function": {"name": "search", "parameters": {}}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert estimate(chat("hi", tools=[function])) < 400
    assert estimate(chat("hi", tools=[search]), context_tokens=1_000) > HOSTED_TOOL_TOKENS
    assert estimate(chat("hi", web_search_options={})) > HOSTED_TOOL_TOKENS
    assert estimate(chat("hi", plugins=[], mcp_servers=None)) < 400
    assert estimate({"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"googleSearch": {}}]}) < 2_000


def test_a_conversation_that_the_provider_keeps_may_fill_the_context():
    document = {"model": "gpt-5", "input": "go on", "previous_response_id": "resp_1"}
    assert estimate(document, context_tokens=400_000) == 400_000
    assert estimate(document) == UNSEEN_HISTORY_TOKENS
    assert estimate({**document, "previous_response_id": None}) < 200


# --- output ---


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("人工", 2), ("привет", 4), ("🦊", 2)]
)
def test_output_is_counted_fairly(text, tokens):
    assert count_output(text) == tokens


def test_output_of_which_only_the_length_is_known():
    assert [count_output_bytes(length) for length in (-1, 0, 1, 4, 5)] == [0, 0, 1, 1, 2]
