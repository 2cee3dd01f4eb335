"""Which server processes are alive, told by file locks.

Each process locks a file of its own beside the database for as long as it lives. The kernel drops the
lock with the process, however that ends, so a lock that can be taken marks a dead server at once: no
heartbeat, no waiting, no guess by the clock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class BootLocks:
    """The lock files of one database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: dict[str, int] = {}

    def take(self, boot_id: str) -> None:
        """Lock the file of this process until it ends."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path(boot_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._own[boot_id] = descriptor

    def drop(self, boot_id: str) -> None:
        """End the lock of a process that stops in good order."""
        descriptor = self._own.pop(boot_id, None)
        if descriptor is not None:
            self._path(boot_id).unlink(missing_ok=True)
            os.close(descriptor)

    def is_alive(self, boot_id: str) -> bool:
        """Whether the process of that boot still runs."""
        if boot_id in self._own:
            return True
        try:
            descriptor = os.open(self._path(boot_id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def forget(self, boot_id: str) -> None:
        """Remove the file of a dead process."""
        self._path(boot_id).unlink(missing_ok=True)

    def _path(self, boot_id: str) -> Path:
        return self._folder / f"{boot_id}.lock"
