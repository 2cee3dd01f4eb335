"""What the tests install of others is locked: every file by its hash, and from no named registry."""

from __future__ import annotations

import json
import re

from tests.sdk.conftest import NODE, REPOSITORY


def test_python_clients_are_locked_by_hash():
    text = (REPOSITORY / "requirements" / "clients.txt").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    unpinned = [line for line in lines if not re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
    assert not unpinned, f"made with `make lock`? {unpinned}"
    assert not [line for line in lines if line.startswith("litellm")]


def test_node_clients_are_locked_by_hash():
    packages = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    locked = {name: package for name, package in packages.items() if name}
    assert locked
    assert not [name for name, package in locked.items() if not package.get("integrity", "").startswith("sha512-")]
    assert not [name for name, package in locked.items() if "resolved" in package], "made with `make lock`?"
