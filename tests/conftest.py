"""What every test can lean on: a clean environment, Hypothesis profiles, the recorded exchanges."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# A developer's own gateway must neither steer a test nor be touched by one: its settings are dropped, and
# a program that forgets RUAPI_HOME finds an empty data directory. Programs that tests start inherit this.
for name in [name for name in os.environ if name.startswith("RUAPI_")]:
    del os.environ[name]
_data_home = tempfile.TemporaryDirectory(prefix="ruapi-tests-")  # kept alive, and removed, with the process
os.environ["XDG_DATA_HOME"] = _data_home.name

# HYPOTHESIS_PROFILE=deep searches long, for a night or before a release. No deadline in either: how long an
# example takes says more about the machine than about the code.
settings.register_profile("fast", max_examples=60, stateful_step_count=30, deadline=None, print_blob=True)
settings.register_profile("deep", max_examples=5_000, stateful_step_count=100, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture
def anyio_backend() -> str:
    """Let tests marked ``anyio`` run on asyncio only; the gateway knows no other loop."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Find the recorded exchanges and the vendors' schemas, which are kept beside the repository."""
    directory = REPOSITORY.parent / "shared"
    if not (directory / "fixtures" / "manifest.json").is_file():
        pytest.skip("needs the recorded exchanges in ../shared (not part of this repository)")
    return directory
