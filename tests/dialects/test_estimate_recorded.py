"""The estimate of input against what providers really billed for the recorded requests."""

from __future__ import annotations

import json
import statistics

from ruapi.pricing.estimate import estimate_input

CHAT_DIALECTS = {"openai-chat", "openai-responses", "anthropic-messages", "gemini"}
COUNT_FIELDS = {"anthropic-count-tokens": "input_tokens", "gemini-count-tokens": "totalTokens"}


def billed_input(dialect, answer):
    """Input tokens of one answer object or event by its dialect; None when it says nothing of them."""
    if dialect in COUNT_FIELDS:
        return answer.get(COUNT_FIELDS[dialect])
    nested = [answer.get(field) for field in ("message", "response")]
    for holder in [answer, *(part for part in nested if isinstance(part, dict))]:
        if "usageMetadata" in holder:
            usage = holder["usageMetadata"]
            return (usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0)
        usage = holder.get("usage") or {}
        if "prompt_tokens" in usage:
            return usage["prompt_tokens"]
        if "input_tokens" in usage:
            cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
            included = dialect != "anthropic-messages"
            return usage["input_tokens"] + (0 if included else sum(usage.get(field) or 0 for field in cached))
    return None


def answers_of(response):
    if isinstance(response.get("body"), dict):
        yield response["body"]
    for event in response.get("events", ()):
        for line in event.splitlines():
            if line.startswith("data:") and line[5:].strip().startswith("{"):
                yield json.loads(line[5:])


def recorded(shared):
    folder = shared / "fixtures"
    for entry in json.loads((folder / "manifest.json").read_text())["exchanges"]:
        if entry["dialect"] not in CHAT_DIALECTS | COUNT_FIELDS.keys():
            continue
        if not entry["request_recorded"] or entry["status"] != 200 or entry["provenance"] == "derived":
            continue
        exchange = json.loads((folder / entry["file"]).read_text())
        billed = [billed_input(entry["dialect"], answer) for answer in answers_of(exchange["response"])]
        most = max((tokens for tokens in billed if tokens), default=0)
        if most and isinstance(exchange["request"]["body"], dict):
            yield entry["id"], exchange["request"]["body"], most


def test_fewer_than_one_estimate_in_a_thousand_falls_short(shared, record_property):
    ratios = {}
    for name, document, billed in recorded(shared):
        for ascii_only in (False, True):
            body = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":")).encode()
            ratios[name, ascii_only] = estimate_input(body, document, context_tokens=None) / billed, billed
    assert len(ratios) > 200
    short = {name: ratio for name, (ratio, _) in ratios.items() if ratio < 1}
    assert len(short) * 1_000 < len(ratios), short

    over = statistics.median(ratio for ratio, _ in ratios.values())
    over_large = statistics.median(ratio for ratio, billed in ratios.values() if billed >= 300)
    record_property("median_over_estimate", over)
    record_property("median_over_estimate_from_300_tokens", over_large)
    # Short requests are mostly what templates may add; from 300 tokens on the text itself counts.
    assert over < 7
    assert over_large < 2.5
