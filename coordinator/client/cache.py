"""The last good snapshot of a mirror on disk, so that a daemon starts while the store is away.

One line of text, `slashetc-mirror 1 <SHA-256 of the rest, hex>`, then MessagePack. A reader
believes all of it or nothing.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from coordinator.client.store import Entry, Listing

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


def load(path: Path, prefix: str) -> Saved | None:
    """Read the snapshot; None if there is none yet. Unusable, OSError."""
    try:
        return decode(path.read_bytes(), prefix)
    except FileNotFoundError:
        return None


def save(path: Path, saved: Saved) -> None:
    """Replace the snapshot so that a crash leaves the old or the new one. OSError.

    Readable by its owner only: values can be secrets.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()  # of a process that died over it
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(encode(saved))
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
