from collections import Counter

import msgspec

from ruapi.routing.candidates import Candidate, in_order
from ruapi.routing.retry import may_retry


def candidate(name: str, *, priority: int = 0, weight: int = 1) -> Candidate:
    return Candidate(
        channel_id=name, channel_name=name, kind="openai", model_upstream="m", priority=priority, weight=weight
    )


def test_priority_first_then_every_channel_once() -> None:
    candidates = [candidate("low"), candidate("high", priority=5), candidate("also-low")]
    for dice in (0.0, 0.4, 0.999999):
        order = [entry.channel_name for entry in in_order(candidates, dice, client="openai_chat")]
        assert order[0] == "high"
        assert sorted(order) == ["also-low", "high", "low"]


def test_among_equals_the_callers_own_dialect_comes_first() -> None:
    messages = msgspec.structs.replace(candidate("messages", weight=100), kind="anthropic")
    candidates = [messages, candidate("chat")]
    for dice in (0.0, 0.5, 0.999999):
        assert in_order(candidates, dice, client="openai_chat")[0].channel_name == "chat"
        assert in_order(candidates, dice, client="anthropic_messages")[0].channel_name == "messages"
    preferred = [msgspec.structs.replace(messages, priority=1), candidate("chat")]
    assert in_order(preferred, 0.0, client="openai_chat")[0].channel_name == "messages"


def test_weights_share_the_first_place() -> None:
    candidates = [candidate("one", weight=1), candidate("three", weight=3)]
    first = Counter(in_order(candidates, step / 1000, client="openai_chat")[0].channel_name for step in range(1000))
    assert first == {"one": 250, "three": 750}


def test_what_is_worth_another_attempt() -> None:
    assert may_retry(status=None, sent=False)
    assert not may_retry(status=None, sent=True)
    assert may_retry(status=529, sent=True)
    assert not may_retry(status=400, sent=True)
