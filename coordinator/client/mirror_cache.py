"""The last good snapshot of a mirror on disk, so that a daemon starts while the store is away.

One line of text, `slashetc-mirror 1 <SHA-256 of the rest, hex>`, then MessagePack. A reader
believes all of it or nothing.
"""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from coordinator.client.core.store_protocol import Entry, Listing
from daemonkit.observe import logs

# A daemon that is killed starts from a snapshot this old, and then hears what it missed.
SAVE_PAUSE_S = 5.0
# Writing a large snapshot takes at most one part in so many of its writer's time.
SAVE_REST = 20

log = logs.get("mirror")

_MAGIC = b"slashetc-mirror"
_FORMAT = b"1"


class Saved(msgspec.Struct, frozen=True):
    """A prefix as it stood at `index`; `confirmed_at` is when the store last said so (Unix s)."""

    prefix: str
    cluster: str
    index: int
    confirmed_at: float
    entries: tuple[Entry, ...]

    def listing(self) -> Listing:
        """Return it as the store gave it."""
        return Listing(self.cluster, self.index, self.entries)


class Unusable(Exception):  # noqa: N818 - names the file's state
    """The file cannot serve as a snapshot of this prefix; the message says why."""


def encode(saved: Saved) -> bytes:
    """Return the file's bytes."""
    body = msgspec.msgpack.encode(saved)
    return b"%s %s %s\n%s" % (_MAGIC, _FORMAT, _digest(body), body)


def decode(text: bytes, prefix: str) -> Saved:
    """Return what the file's bytes hold; Unusable if damaged, foreign or of another prefix."""
    head, _, body = text.partition(b"\n")
    match head.split(b" "):
        case [magic, form, digest] if magic == _MAGIC:
            if form != _FORMAT:
                raise Unusable(f"format {form!r} is not the one of this version")
            if digest != _digest(body):
                raise Unusable("it is damaged: its checksum differs")
        case _:
            raise Unusable("it is not a snapshot of a mirror")
    try:
        saved = msgspec.msgpack.decode(body, type=Saved)
    except msgspec.DecodeError as error:
        raise Unusable(f"it is not a snapshot of a mirror: {error}") from error
    if saved.prefix != prefix:
        raise Unusable(f"it is of prefix {saved.prefix}, not {prefix}")
    return saved


class Cache:
    """Reads one mirror's snapshot at its start, and writes it when due. No path: does nothing."""

    def __init__(self, path: Path | None, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._due_s = 0.0
        self._complaint = ""

    def load(self) -> Saved | None:
        """Return the snapshot, if there is one to be believed; the log tells why not."""
        if self._path is None:
            return None
        try:
            return decode(self._path.read_bytes(), self._prefix)
        except FileNotFoundError:
            return None
        except (Unusable, OSError) as error:
            log.warning("cache-ignored", path=self._path, reason=error)
            return None

    def is_due(self) -> bool:
        """Say whether it is time for a new snapshot, if there is anything new."""
        return self._path is not None and time.monotonic() >= self._due_s

    def save(self, snapshot: Callable[[], Saved]) -> bool:
        """Write a new snapshot; False if the disk does not take it, logged once per reason."""
        if self._path is None:
            return True
        began_s = time.monotonic()
        try:
            write(self._path, encode(snapshot()))
        except OSError as error:
            if str(error) != self._complaint:
                log.warning("cache-not-written", path=self._path, reason=error)
            self._complaint = str(error)
        else:
            self._complaint = ""
        now_s = time.monotonic()
        self._due_s = now_s + max(SAVE_PAUSE_S, SAVE_REST * (now_s - began_s))
        return not self._complaint


def write(path: Path, text: bytes) -> None:
    """Replace the file so that a crash leaves the old or the new one. OSError.

    Readable by its owner only: values can be secrets.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()  # of a process that died over it
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
