"""The files in --state-dir, which outlive the process: owed reloads and the last known keys.

    lock             held while a process uses the directory
    owed/HASH        a reload_cmd that must still run; the file names the destination
    quarantine/HASH  the digest of the texts that made the reload of a unit fail
    good/HASH        the last good file of a destination, until the reload of the new one succeeds
    outputs/HASH     the destinations that a resource with for_each made
    keys/HASH        the mirror's last snapshot of one root
    compiled/        compiled templates

An owed reload is recorded before the rename that makes it necessary, and removed after the
command has succeeded. So a crash can cause one reload too many, but never one too few.
"""

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec

from confd.core.changes.candidate import FileState
from daemonkit.host import atomic_file

_DIRECTORIES = ("owed", "quarantine", "good", "outputs", "keys", "compiled")


class StateInUse(Exception):  # noqa: N818 - a fact about the other process
    """Another process uses the same state directory."""


class StateDir:
    """One process's use of a state directory. Without a directory, the state is in memory.

    With `read_only`, nothing is created or locked: a command can read beside a running daemon.
    """

    def __init__(self, directory: Path | None, *, read_only: bool = False) -> None:
        self._directory = directory
        self._owed: set[str] = set()
        self._memory: dict[tuple[str, str], bytes] = {}
        self._lock = -1
        if directory is not None and not read_only:
            for name in _DIRECTORIES:
                # The snapshots contain values.
                (directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(directory)

    def close(self) -> None:
        """Release the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def keys_path(self, root: str) -> Path | None:
        """Return where the snapshot of the keys below `root` is kept."""
        return self._directory / "keys" / _hash(root) if self._directory else None

    def compiled_path(self) -> Path | None:
        """Return the directory of compiled templates, which make the next start faster."""
        return self._directory / "compiled" if self._directory else None

    def is_reload_owed(self, dest: str) -> bool:
        """Return whether a reload for `dest` has yet to succeed."""
        path = self._owed_path(dest)
        return path.exists() if path else dest in self._owed

    def owe_reload(self, dest: str) -> None:
        """Record durably that a reload for `dest` must run."""
        path = self._owed_path(dest)
        if path is None:
            self._owed.add(dest)
        elif not path.exists():
            # Only the name matters; the text helps people who look at the file.
            path.write_text(dest + "\n")
            atomic_file.sync_directory(path.parent)

    def reload_done(self, dest: str) -> None:
        """Record that the reload succeeded. Not synced: a power cut only causes one more reload."""
        self._owed.discard(dest)
        if path := self._owed_path(dest):
            path.unlink(missing_ok=True)

    def quarantine(self, unit: str, digest: str) -> None:
        """Record durably that these texts of a unit made its reload fail."""
        self._write("quarantine", unit, digest.encode())

    def is_quarantined(self, unit: str, digest: str) -> bool:
        """Return whether exactly these texts made the unit's reload fail."""
        return self._read("quarantine", unit) == digest.encode()

    def release_quarantine(self, unit: str) -> None:
        """Lift the quarantine of one unit."""
        self._remove("quarantine", unit)

    def release_quarantines(self) -> None:
        """Lift every quarantine, so that each text gets one more try."""
        for key in [key for key in self._memory if key[0] == "quarantine"]:
            del self._memory[key]
        if self._directory:
            for path in (self._directory / "quarantine").iterdir():
                path.unlink(missing_ok=True)

    def record_last_good(self, dest: str, before: FileState | None) -> None:
        """Record durably the file at `dest`; None means that there was no file.

        An earlier record stays: it is the last file whose reload succeeded.
        """
        if self._read("good", dest) is None:
            self._write("good", dest, msgspec.msgpack.encode(before))

    def last_good(self, dest: str) -> tuple[FileState | None] | None:
        """Return the last good file of `dest`, in a tuple; None when none is recorded."""
        if (found := self._read("good", dest)) is None:
            return None
        return (msgspec.msgpack.decode(found, type=FileState | None),)

    def forget_last_good(self, dest: str) -> None:
        """Drop the record: the file at `dest` now is good."""
        self._remove("good", dest)

    def outputs(self, name: str) -> tuple[str, ...]:
        """Return the destinations that a resource made."""
        found = self._read("outputs", name)
        return msgspec.json.decode(found, type=tuple[str, ...]) if found else ()

    def record_outputs(self, name: str, dests: tuple[str, ...]) -> None:
        """Record the destinations of a resource, so that stale ones can be removed."""
        if dests != self.outputs(name):
            self._write("outputs", name, msgspec.json.encode(dests))

    def _owed_path(self, dest: str) -> Path | None:
        return self._directory / "owed" / _hash(dest) if self._directory else None

    def _read(self, kind: str, name: str) -> bytes | None:
        if self._directory is None:
            return self._memory.get((kind, name))
        try:
            return (self._directory / kind / _hash(name)).read_bytes()
        except FileNotFoundError:
            return None

    def _remove(self, kind: str, name: str) -> None:
        self._memory.pop((kind, name), None)
        if self._directory:
            (self._directory / kind / _hash(name)).unlink(missing_ok=True)

    def _write(self, kind: str, name: str, content: bytes) -> None:
        if self._directory is None:
            self._memory[kind, name] = content
            return
        path = self._directory / kind / _hash(name)
        atomic_file.write(path, content)


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
