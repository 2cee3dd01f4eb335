"""Project hygiene: the rules of STYLE.md that a machine can hold."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 70
NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}

# Functions that may be longer, each with its reason: {"src/ruapi/module.py::function": "why"}.
LONG_FUNCTIONS: dict[str, str] = {}

# Put together from parts, so that this file does not find itself.
PLACES_THAT_MUST_NOT_BE_NAMED = re.compile(
    "|".join(
        (
            r"(?<![\w.])/" + r"work/",
            r"(?<![\w.])/" + r"root/",
            r"(?<![\w.])/" + r"home/\w",
            r"pypi\." + r"org",
            r"python" + r"hosted\.org",
            r"registry\." + r"npmjs",
            r"proxy\.golang" + r"\.org",
            r"static\.crates" + r"\.io",
        )
    )
)


def kept_files() -> list[Path]:
    """Everything that is tracked or would be: a new file is checked before it is added."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("needs a git checkout")
    paths = (REPOSITORY / name for name in listing.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


def label(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count lines from ``def`` to the last one, less the docstring, which nobody should shorten for this."""
    first = function.body[0]
    length = (function.end_lineno or 0) - function.lineno + 1
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.end_lineno:
        length -= first.end_lineno - first.lineno + 1
    return length


def test_no_file_has_a_name_that_says_nothing():
    found = [
        label(path)
        for path in kept_files()
        if NAMES_THAT_SAY_NOTHING & {Path(part).stem.lower() for part in path.relative_to(REPOSITORY).parts}
    ]
    assert not found, f"name these after what they hold: {found}"


def test_no_file_names_a_registry_or_a_place_on_one_machine():
    found = []
    for path in kept_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{label(path)}:{number}: {match[0]}"
            for number, line in enumerate(text.splitlines(), 1)
            if (match := PLACES_THAT_MUST_NOT_BE_NAMED.search(line))
        ]
    assert not found, "\n".join(found)


def test_functions_fit_on_a_screen():
    found = {
        f"{label(path)}::{node.name}": code_lines(node)
        for path in python_files("src", "tests", "bench")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > FUNCTION_LINES_MAX
    }
    too_long = {name: lines for name, lines in found.items() if name not in LONG_FUNCTIONS}
    assert not too_long, f"over {FUNCTION_LINES_MAX} lines: {too_long}"
    assert not LONG_FUNCTIONS.keys() - found.keys(), "these are short again: take them off the table"


def test_every_module_says_what_it_is_for():
    found = [
        label(path)
        for path in python_files("src")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, f"without a docstring: {found}"


def test_every_package_is_one():
    """A folder without ``__init__.py`` is invisible to the layers check."""
    folders = {path.parent for path in python_files("src/ruapi")}
    found = sorted(label(folder) for folder in folders if not (folder / "__init__.py").exists())
    assert not found, f"without __init__.py: {found}"


@pytest.mark.parametrize("lock", ["run", "test", "dev"])
def test_locks_pin_every_package_by_hash(lock):
    text = (REPOSITORY / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
    unpinned = [line for line in lines if not re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
    assert lines
    assert not unpinned, f"made with `make lock`? {unpinned}"
    assert not [line for line in lines if line.startswith("litellm")], "prices may come from it, code may not"
