"""The file that keeps a mirror's last good state, so that a daemon starts while the store is away.

One line of text, `slashetc-mirror 1 <SHA-256 of the rest, hex>`, then MessagePack. A reader
accepts the whole file or nothing.
"""

import hashlib

import msgspec

from coordinator.client.core.store_protocol import Entry, Listing

_MAGIC = b"slashetc-mirror"
_FORMAT = b"1"


class MirrorSnapshot(msgspec.Struct, frozen=True):
    """A prefix as it was at `index`. `confirmed_at` is the store's last confirmation (Unix s)."""

    prefix: str
    cluster: str
    index: int
    confirmed_at: float
    entries: tuple[Entry, ...]

    def listing(self) -> Listing:
        """Return it as the store gave it."""
        return Listing(self.cluster, self.index, self.entries)


class UnusableSnapshot(Exception):  # noqa: N818 - names the file's state
    """The file is not a usable snapshot of this prefix; the message says why."""


def encode(snapshot: MirrorSnapshot) -> bytes:
    """Return the content of the file."""
    body = msgspec.msgpack.encode(snapshot)
    return b"%s %s %s\n%s" % (_MAGIC, _FORMAT, _digest(body), body)


def decode(content: bytes, prefix: str) -> MirrorSnapshot:
    """Return the snapshot in a file's content.

    UnusableSnapshot if the file is damaged, is something else, or is of another prefix.
    """
    head, _, body = content.partition(b"\n")
    match head.split(b" "):
        case [magic, form, digest] if magic == _MAGIC:
            if form != _FORMAT:
                raise UnusableSnapshot(f"this version cannot read the format {form!r}")
            if digest != _digest(body):
                raise UnusableSnapshot("it is damaged: its checksum differs")
        case _:
            raise UnusableSnapshot("it is not a snapshot of a mirror")
    try:
        snapshot = msgspec.msgpack.decode(body, type=MirrorSnapshot)
    except msgspec.DecodeError as error:
        raise UnusableSnapshot(f"it is not a snapshot of a mirror: {error}") from error
    if snapshot.prefix != prefix:
        raise UnusableSnapshot(f"it is of prefix {snapshot.prefix}, not {prefix}")
    return snapshot


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
