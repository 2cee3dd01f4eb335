"""The program ``ruapi``."""

from __future__ import annotations

import sys
from typing import NoReturn

from ruapi.cli.application import run


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
