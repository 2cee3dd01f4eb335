"""The files that keep secrets outside the database: the pepper of keys and codes, and the master key.

::

    RUAPI_HOME/secrets/          0700
      pepper                     0600   one line a version: "1 <64 hex digits>"; new digests use the last one
      master.key                 0600   "1 <64 hex digits>"; seals the secrets of channels

Without the pepper no key that was ever handed out can be checked; without the master key no channel's
secret can be read. So they are made once, before the database, and their absence beside an existing
database stops the program instead of being mended with new ones.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

import msgspec

from ruapi.errors import Unavailable

PEPPER_FILE = "pepper"
MASTER_KEY_FILE = "master.key"
SECRET_BYTES = 32
FILE_BYTES_MAX = 64 * 1024

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS = 0o077


class Secrets(msgspec.Struct, frozen=True):
    """What the files hold. ``peppers`` maps versions to 32 bytes each; the highest one makes new digests."""

    peppers: dict[int, bytes]
    master_key: bytes

    def __repr__(self) -> str:
        """Name no secret."""
        return f"Secrets(pepper_version={self.pepper_version})"

    @property
    def pepper_version(self) -> int:
        """The version that new digests are made with."""
        return max(self.peppers)

    @property
    def pepper(self) -> bytes:
        """The bytes of that version."""
        return self.peppers[self.pepper_version]


def open_secrets(folder: Path, *, database_exists: bool) -> Secrets:
    """Read the secrets; make them first when there is no database yet that depends on lost ones.

    Raises ``Unavailable``, in words for an operator, when they are gone, broken or readable by others.
    """
    if not database_exists:
        _create_folder(folder)
        for name in (PEPPER_FILE, MASTER_KEY_FILE):
            _create_file(folder / name)
    return read_secrets(folder)


def read_secrets(folder: Path) -> Secrets:
    """Read what is there. Raises ``Unavailable``."""
    _check_privacy(folder, _FOLDER_MODE)
    peppers = _read_versions(folder / PEPPER_FILE)
    master_keys = _read_versions(folder / MASTER_KEY_FILE)
    return Secrets(peppers=peppers, master_key=master_keys[max(master_keys)])


def _create_folder(folder: Path) -> None:
    try:
        folder.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    except OSError as fault:
        raise Unavailable(f"{folder} cannot be made: {fault.strerror}") from fault


def _create_file(path: Path) -> None:
    """Make a file with a fresh secret, whole or not at all; one that exists stays as it is."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _FILE_MODE)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"1 {secrets.token_hex(SECRET_BYTES)}\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)  # unlike a rename, this never replaces what is there
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    except OSError as fault:
        raise Unavailable(f"{path} cannot be written: {fault.strerror}") from fault


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_privacy(path: Path, right_mode: int) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise Unavailable(
            f"the database exists, but {path} is gone. Without it no key can be checked and no channel "
            "can be used. Restore it from a backup; a new one would not fit."
        ) from None
    except OSError as fault:
        raise Unavailable(f"{path} cannot be read: {fault.strerror}") from fault
    if stat.S_IMODE(status.st_mode) & _OTHERS:
        raise Unavailable(
            f"{path} can be reached by other users of this machine (mode "
            f"{stat.S_IMODE(status.st_mode):04o}). Run: chmod {right_mode:o} {path}, and consider what is in "
            "it as known to whoever could read it."
        )
    if status.st_uid not in {os.geteuid(), 0} and os.geteuid() != 0:
        raise Unavailable(f"{path} belongs to another user of this machine (uid {status.st_uid})")


def _read_versions(path: Path) -> dict[int, bytes]:
    """The versions in a file, checked to be whole."""
    _check_privacy(path, _FILE_MODE)
    try:
        with path.open("rb") as file:
            lines = file.read(FILE_BYTES_MAX).decode("ascii").splitlines()
        found = {}
        for line in lines:
            version, _, text = line.partition(" ")
            found[int(version)] = bytes.fromhex(text)
    except OSError as fault:
        raise Unavailable(f"{path} cannot be read: {fault.strerror}") from fault
    except ValueError:
        raise Unavailable(f"{path} is damaged: restore it from a backup") from None
    if not found or any(len(secret) != SECRET_BYTES for secret in found.values()):
        raise Unavailable(f"{path} is damaged: restore it from a backup")
    return found
