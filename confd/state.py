"""What outlives the process in --state-dir: reloads still owed, and the keys last seen.

    lock          held while a process uses the directory
    owed/HASH     a reload_cmd that must run; the file names the destination
    keys/HASH     the Mirror's last snapshot of one root

A debt is written before the rename that makes it due and removed after the command succeeded.
So a crash may reload once too often, and never once too seldom.
"""

import fcntl
import hashlib
import os
from pathlib import Path

from confd.files import sync_directory


class StateInUse(Exception):  # noqa: N818 - a fact about the other process
    """Another process works with the same state directory."""


class State:
    """One process's hold on a state directory; without one, debts live in memory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._owed: set[str] = set()
        self._lock = -1
        if directory is not None:
            for name in ("owed", "keys"):
                # The snapshots hold values.
                (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(directory)

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def keys_path(self, root: str) -> Path | None:
        """Return where the snapshot of the keys below `root` is kept."""
        return self._directory / "keys" / _hash(root) if self._directory else None

    def owes(self, dest: str) -> bool:
        """Say whether a reload for `dest` has yet to succeed."""
        path = self._debt(dest)
        return path.exists() if path else dest in self._owed

    def owe(self, dest: str) -> None:
        """Note, to survive a power cut, that a reload for `dest` is due."""
        path = self._debt(dest)
        if path is None:
            self._owed.add(dest)
        elif not path.exists():
            # Only the name counts; the text is for a human who looks.
            path.write_text(dest + "\n")
            sync_directory(path.parent)

    def settle(self, dest: str) -> None:
        """Forget the debt. Not synced: a power cut brings it back, which only reloads again."""
        self._owed.discard(dest)
        if path := self._debt(dest):
            path.unlink(missing_ok=True)

    def _debt(self, dest: str) -> Path | None:
        return self._directory / "owed" / _hash(dest) if self._directory else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _locked(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateInUse(
            f"{directory} is in use by another confd: stop it, or give this one its own --state-dir"
        ) from None
    return descriptor
