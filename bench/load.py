"""The load: wrk, posting one chat body over and over, and what it cost the server."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.contestants import MODEL, OUTPUT_TOKENS, Contestant, Cores, cpu_seconds

CHAT_PATH = "/v1/chat/completions"
BODY_BYTES = 500

# wrk calls `done` once at the end; percentiles are in microseconds. It counts statuses above 399 itself.
SCRIPT = """
wrk.method = "POST"
wrk.body = [[%(body)s]]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %(key)s"

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\\nRESULT {"requests": %%d, "duration_us": %%d, "bytes": %%d, "p50_us": %%d, "p99_us": %%d, ' ..
        '"bad_statuses": %%d, "broken": %%d}\\n',
        summary.requests, summary.duration, summary.bytes,
        latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One contestant under one load. ``answered`` calls are whole answers with status 200."""

    contestant: str
    concurrency: int
    answered: int
    bad_statuses: int
    broken: int
    requests_per_second: float
    cpu_us_per_request: float
    p50_ms: float
    p99_ms: float
    bytes_per_answer: float

    def figures(self) -> dict[str, Any]:
        """As JSON wants it, rounded to what can be told apart."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


def chat_body(*, stream: bool) -> str:
    """A chat request of 500 bytes; it asks for no more tokens than the provider reports."""
    request: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": OUTPUT_TOKENS,
        "messages": [{"role": "user", "content": ""}],
    }
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    question = "What is the answer to life, the universe and everything? "
    missing = BODY_BYTES - len(json.dumps(request, separators=(",", ":")))
    request["messages"][0]["content"] = (question * (missing // len(question) + 1))[:missing]
    return json.dumps(request, separators=(",", ":"))


def measure(
    contestant: Contestant, cores: Cores, folder: Path, *, stream: bool, concurrency: int, seconds: int
) -> Measurement:
    """Put a contestant under load for so many seconds."""
    script = folder / "load.lua"
    script.write_text(SCRIPT % {"body": chat_body(stream=stream), "key": contestant.key})
    cpu_before = cpu_seconds(contestant.pid)
    done = subprocess.run(
        [
            *cores.load,
            *(str(shutil.which("wrk")), "--threads", "1", "--connections", str(concurrency)),
            *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(script)),
            f"{contestant.base_url}{CHAT_PATH}",
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    cpu_used = cpu_seconds(contestant.pid) - cpu_before
    result = json.loads(done.stdout.rpartition("RESULT ")[2])
    answered = result["requests"] - result["bad_statuses"]
    return Measurement(
        contestant=contestant.name,
        concurrency=concurrency,
        answered=answered,
        bad_statuses=result["bad_statuses"],
        broken=result["broken"],
        requests_per_second=answered / (result["duration_us"] / 1e6),
        cpu_us_per_request=cpu_used * 1e6 / max(1, result["requests"]),
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        bytes_per_answer=result["bytes"] / max(1, result["requests"]),
    )
