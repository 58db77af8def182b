"""The v2 API's JSON: answers, nodes and errors decoded once into the store's own values. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from coordinator.client.core import errors, key_paths
from coordinator.client.core.store_protocol import Entry, Event, Progress

_ERRORS: dict[int, type[errors.StoreError]] = {
    100: errors.KeyNotFound,
    101: errors.CompareFailed,
    102: errors.NotAFile,
    104: errors.NotADirectory,
    105: errors.KeyExists,
    108: errors.NotAFile,
    110: errors.Unauthorized,
    400: errors.HistoryCleared,
    401: errors.HistoryCleared,
}
# 3xx says that Raft could not do it now; what stands below is the request's own fault.
_RAFT_CODE_MIN = 300
# No file can be below a key that is missing, or below one that is a file.
MISSING_CODES = frozenset({100, 104})
# An event holds two values of at most 10 MiB (a v2 server's limit), each up to six times as
# long in JSON.
LINE_BYTES_MAX = 128 * 2**20


class Malformed(Exception):  # noqa: N818 - names the answer
    """The answer is not the v2 API's JSON; the message shows its beginning."""


class Node(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A key as the server describes it: a file, or a directory with its listed `nodes`."""

    key: str = key_paths.ROOT
    value: str = ""
    dir: bool = False
    nodes: tuple["Node", ...] = ()
    modified_index: int = 0
    created_index: int = 0
    expiration: datetime | None = None

    def entry(self) -> Entry:
        """Return the file's entry; NotAFile for a directory."""
        if self.dir:
            raise errors.NotAFile(f"{self.key} is a directory")
        expires_at = None if self.expiration is None else self.expiration.timestamp()
        return Entry(self.key, self.value, self.created_index, self.modified_index, expires_at)

    def files(self) -> Iterator[Entry]:
        """Walk the files at and below this node, in no promised order."""
        pending = [self]
        while pending:
            node = pending.pop()
            if node.dir:
                pending.extend(node.nodes)
            else:
                yield node.entry()


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """One JSON object of the API: an outcome or event (`node`), an error (`error_code`), a mark.

    `index` is set in errors and in `progress` lines.
    """

    action: str = ""
    node: Node = Node()
    prev_node: Node | None = None
    error_code: int = 0
    message: str = ""
    cause: str = ""
    index: int = 0

    def error(self, what: str) -> errors.StoreError:
        """Return the exception for this error answer to the request described by `what`."""
        kind = _ERRORS.get(self.error_code)
        if kind is None:
            kind = errors.Unavailable if self.error_code >= _RAFT_CODE_MIN else errors.BadRequest
        return kind(f"{what}: {self.reason()}")

    def reason(self) -> str:
        """Return the server's own words."""
        return f"{self.message} ({self.cause})" if self.cause else self.message

    def change(self, prefix: str, *, hidden: bool) -> Event | Progress:
        """Return what this event means to a watch of `prefix`; `hidden` keeps hidden keys.

        An event that means nothing to the watch still moves it on, so it is Progress.
        """
        match self.action:
            case "progress":
                return Progress(self.index)
            case "set" | "create" | "update" | "compareAndSwap" if not self.node.dir:
                event = Event(self.node.modified_index, self.node.key, self.node.entry())
            case "set" | "create" | "update":
                if self.prev_node is None or self.prev_node.dir:
                    return Progress(self.node.modified_index)
                event = Event(self.node.modified_index, self.node.key, None)
            case "delete" | "expire" | "compareAndDelete":
                event = Event(self.node.modified_index, self.node.key, None)
            case _:
                raise errors.HistoryCleared(f"event {self.action!r} is unknown here: list again")
        return _scoped(event, prefix, hidden=hidden)


_DECODER = msgspec.json.Decoder(Answer)


def decode(body: bytes) -> Answer:
    """Decode one answer or event line; Malformed shows what came instead."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{error} in {body[:80]!r}") from error


class Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; return the lines they complete. Malformed for an endless line."""
        first, *rest = chunk.split(b"\n")
        self._unfinished.append(first)
        self._size_bytes += len(first)
        if not rest:
            if self._size_bytes > LINE_BYTES_MAX:
                raise Malformed(f"a line of more than {LINE_BYTES_MAX} bytes")
            return []
        *whole, last = b"".join(self._unfinished), *rest
        self._unfinished, self._size_bytes = [last], len(last)
        return whole


def _scoped(event: Event, prefix: str, *, hidden: bool) -> Event | Progress:
    if key_paths.holds(prefix, event.key):
        seen = hidden or not key_paths.is_hidden(prefix, event.key)
        return event if seen else Progress(event.index)
    if event.entry is None and key_paths.holds(event.key, prefix):
        return Event(event.index, prefix, None)
    # etcd's history matches deleted directories by bare string: /p answers watches on /px.
    return Progress(event.index)
