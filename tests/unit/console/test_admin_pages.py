"""What the administration's pages make of rows: how a channel does, what an event changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ruapi.console.pages.admin_audit import Change, changes_of
from ruapi.console.pages.admin_channels import DEGRADED_CALLS_MIN, HOUR_MS, HOURS, doing
from ruapi.storage.records import AuditEvent, UsageBucket

NOW = 1_795_000_000_000
HOUR = NOW // HOUR_MS * HOUR_MS


@pytest.mark.parametrize(
    ("calls", "callers_mistakes", "failures", "words"),
    [
        (0, 0, 0, "No calls yet"),
        (1, 0, 0, "Healthy"),
        (100, 90, 0, "Healthy"),  # a caller's mistake is none of the channel's
        (100, 0, 4, "Healthy"),
        (100, 0, 5, "Degraded"),
        (DEGRADED_CALLS_MIN, 0, DEGRADED_CALLS_MIN, "Degraded"),
        (DEGRADED_CALLS_MIN - 1, 0, 1, "Few calls"),
    ],
)
def test_a_channel_is_judged_by_its_own_failures(calls: int, callers_mistakes: int, failures: int, words: str) -> None:
    buckets = [UsageBucket(start=HOUR, requests=calls, errors=callers_mistakes + failures)] if calls else []
    did = doing(buckets, {HOUR: failures} if failures else {}, now=NOW)
    assert (did.requests, did.failures, did.state[1]) == (calls, failures, words)
    assert did.failures_by_hour == [0] * (HOURS - 1) + [failures]


def test_the_first_token_is_the_mean_of_those_that_were_timed() -> None:
    buckets = [
        UsageBucket(start=HOUR - HOUR_MS, requests=3, first_tokens=2, first_token_ms=100),
        UsageBucket(start=HOUR, requests=1, first_tokens=1, first_token_ms=200),
        UsageBucket(start=HOUR - HOURS * HOUR_MS, requests=9, first_tokens=9, first_token_ms=9_000),  # a day ago
    ]
    did = doing(buckets, {}, now=NOW)
    assert (did.requests, did.first_token_ms, did.first_token_ms_by_hour[-2:]) == (4, 100, [50, 200])


@pytest.mark.parametrize(
    ("action", "changes", "told"),
    [
        ("code.create", {"value_nano": [None, 10_000_000_000]}, Change("value", None, "$10")),
        ("key.edit", {"limit_nano": [500_000_000, None]}, Change("spend limit", "$0.5", "nothing")),
        (
            "key.delete",
            {"deleted_at": [None, 1_795_639_314_401]},
            Change("deleted at", None, "2026-11-25 20:41:54 UTC"),
        ),
        ("user.password", {"password_hash": ["…", "…"]}, Change("password", None, "changed")),
        ("user.password", {"password_hash": [None, "…"]}, Change("password", None, "set")),
        ("user.edit", {"password_hash": ["…", None]}, Change("password", None, "removed")),
        ("channel.edit", {"secret_sealed": ["…", "…"]}, Change("secret", None, "changed")),
        ("channel.edit", {"models": [[["a", "a"]], [["a", "b"], ["c", "c"]]]}, Change("models", "a", "a=b, c")),
        ("key.edit", {"browser_use": [False, True]}, Change("browser use", "no", "yes")),
        ("key.edit", {"models": [["gpt-5*"], []]}, Change("models", "gpt-5*", "nothing")),
        ("setting.save", {"low_balance_nano": ["5000000000", "0"]}, Change("low balance", "$5", "$0")),
        ("setting.save", {"base_url": [None, '"https://ai.example.com"']}, Change("base url", None, "https://ai.example.com")),
        (
            "model.price",
            {"rates": [None, {"input": 2_000_000_000, "output": 37_500_000, "tiers": []}]},
            Change("rates", None, "input $2.00, output $0.0375 per million tokens"),
        ),
        (
            "model.price",
            {"rates": [{"input": 1_000_000_000, "output": 0}, {
                "input": 2_000_000_000, "output": 4_000_000_000, "cache_write_5m": 2_500_000_000,
                "per_request": 20_000_000, "per_tool": {"file_search": 2_500_000},
                "tiers": [{"above_input_tokens": 200_000, "input": 3_000_000_000, "output": 5_000_000_000}],
                "variants": {"service_tier=fast": {
                    "input": 250_000_000, "output": 1_000_000_000, "per_tool": {"file_search": 5_000_000},
                }},
            }]},
            Change(
                "rates",
                "input $1.00, output $0.00 per million tokens",
                "input $2.00, output $4.00, cache write 5m $2.50 per million tokens; $0.02 per call; "
                "file search $0.0025 per use; "
                "above 200,000 tokens of input: input $3.00, output $5.00 per million tokens; "
                "with service tier fast: input $0.25, output $1.00 per million tokens, file search $0.005 per use",
            ),
        ),
        ("model.price", {"rates": [None, '{"input":2000…']}, Change("rates", None, "too many prices to tell here")),
        (
            "model.price",
            {"effective_from": [None, 1_795_639_314_401]},
            Change("effective from", None, "2026-11-25 20:41:54 UTC"),
        ),
        ("key.edit", {"tokens_per_minute": [None, 1_000_000]}, Change("tokens per minute", None, "1,000,000")),
    ],
)  # fmt: skip
def test_a_change_is_told_in_words(action: str, changes: dict[str, list[Any]], told: Change) -> None:
    event = AuditEvent(
        id="aud_1", time=NOW, actor_kind="user", actor_id="", actor_name="", address="", action=action,
        target_kind="", target_id="", target_name="", changes=json.dumps(changes),
    )  # fmt: skip
    assert changes_of(event) == [told]
