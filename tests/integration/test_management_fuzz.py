"""Schemathesis against the running server: whatever the document allows or forbids, the answers keep to it.

Every phase (examples, the edges of each field, random data, sequences of operations that use one another's ids) with
an administrator's key, so that nothing is refused before its route. The seed is fixed, so that a failure can be seen
again; FUZZ_SEED and FUZZ_EXAMPLES look elsewhere and longer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider
from tests.gateway_process import GatewayProcess
from tests.integration.conftest import CHAT_MODEL
from tests.management import ManagementKeys

EXAMPLES_MAX = 15  # of random data, for each operation; the edges of fields are all tried
SECONDS_MAX = 150.0
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
)


@pytest.mark.slow
def test_no_input_breaks_the_api_or_its_document(gateway: GatewayProcess, provider: FakeProvider, tmp_path: Path):
    gateway.make_owner(balance="25")
    gateway.add_channel("fake-chat", "openai-compatible", provider.openai_base_url, models=[CHAT_MODEL])
    gateway.price_model(CHAT_MODEL, input_usd="2", output_usd="10")
    gateway.start()
    with ManagementKeys(gateway) as keys:
        text = keys.create(scope="write")
        schemathesis = [sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.base_url}/api/v1/openapi.json"]
        done = subprocess.run(
            [
                *schemathesis,
                f"--header=Authorization: Bearer {text}",
                f"--checks={','.join(CHECKS)}",
                f"--max-examples={os.environ.get('FUZZ_EXAMPLES', EXAMPLES_MAX)}",
                "--phases=examples,coverage,fuzzing,stateful",
                f"--seed={os.environ.get('FUZZ_SEED', '1')}",
                "--suppress-health-check=all",
                "--request-timeout=30",
                "--no-shrink",
                "--workers=2",
            ],
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "150"},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-8_000:]}{done.stderr[-2_000:]}"
        assert re.search(r"\b[1-9][0-9]{3,} generated", done.stdout), done.stdout[-2_000:]
        assert "a request broke" not in gateway.stderr, gateway.stderr[-4_000:]
        assert gateway.cli_json("ledger", "verify")["violations"] == []
