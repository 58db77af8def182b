"""What outlives the process in --state-dir: reloads still owed, and the keys last seen.

    lock          held while a process uses the directory
    owed/HASH     a reload_cmd that must run; the file names the destination
    good/HASH     what stood at a destination before, while its reload is yet to succeed
    outputs/HASH  the destinations that a resource with for_each made
    keys/HASH     the Mirror's last snapshot of one root

A debt is written before the rename that makes it due and removed after the command succeeded.
So a crash may reload once too often, and never once too seldom.
"""

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from confd.apply.files import Wanted, sync_directory

_DIRECTORIES = ("owed", "good", "outputs", "keys", "compiled")


class StateInUse(Exception):  # noqa: N818 - a fact about the other process
    """Another process works with the same state directory."""


class State:
    """One process's hold on a state directory; without one, all of it lives in memory.

    With `only_look` nothing is created or locked, for a look beside a daemon.
    """

    def __init__(self, directory: Path | None, *, only_look: bool = False) -> None:
        self._directory = directory
        self._owed: set[str] = set()
        self._memory: dict[tuple[str, str], bytes] = {}
        self._lock = -1
        if directory is not None and not only_look:
            for name in _DIRECTORIES:
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

    def compiled_path(self) -> Path | None:
        """Return where compiled templates are kept for the next start."""
        return self._directory / "compiled" if self._directory else None

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

    def keep_good(self, dest: str, before: Wanted | None) -> None:
        """Note, to survive a power cut, what stood at `dest`; None is nothing.

        What is noted already stays: it was the last whose reload succeeded.
        """
        if self._read("good", dest) is None:
            self._write("good", dest, msgspec.msgpack.encode(before))

    def good(self, dest: str) -> tuple[Wanted | None] | None:
        """Return what stood at `dest` before, in a tuple; None when nothing is noted."""
        if (noted := self._read("good", dest)) is None:
            return None
        return (msgspec.msgpack.decode(noted, type=Wanted | None),)

    def forget_good(self, dest: str) -> None:
        """Take what stands at `dest` for good."""
        self._memory.pop(("good", dest), None)
        if self._directory:
            (self._directory / "good" / _hash(dest)).unlink(missing_ok=True)

    def outputs(self, name: str) -> tuple[str, ...]:
        """Return the destinations that a resource made."""
        noted = self._read("outputs", name)
        return msgspec.json.decode(noted, type=tuple[str, ...]) if noted else ()

    def note_outputs(self, name: str, dests: tuple[str, ...]) -> None:
        """Note the destinations of a resource, so that one who goes can be removed."""
        if dests != self.outputs(name):
            self._write("outputs", name, msgspec.json.encode(dests))

    def _debt(self, dest: str) -> Path | None:
        return self._directory / "owed" / _hash(dest) if self._directory else None

    def _read(self, kind: str, name: str) -> bytes | None:
        if self._directory is None:
            return self._memory.get((kind, name))
        try:
            return (self._directory / kind / _hash(name)).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, kind: str, name: str, content: bytes) -> None:
        if self._directory is None:
            self._memory[kind, name] = content
            return
        path = self._directory / kind / _hash(name)
        part = path.with_suffix(".part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        sync_directory(path.parent)


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
