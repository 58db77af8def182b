"""Responses of the v2 API: its JSON, decoded once into the store's own values and errors."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from coordinator.client.core import errors, key_paths
from coordinator.client.core.json_lines import MalformedResponse
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
# From 300 on the server could not do it now; lower codes are the fault of the request.
_RAFT_CODE_MIN = 300
# No file can be below a key that is missing, or below one that is a file.
MISSING_CODES = frozenset({100, 104})


class V2Node(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A node of the server's tree: a file, or a directory with its listed `nodes`."""

    key: str = key_paths.ROOT
    value: str = ""
    dir: bool = False
    nodes: tuple["V2Node", ...] = ()
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
        """Yield the files at and below this node, in no particular order."""
        pending = [self]
        while pending:
            node = pending.pop()
            if node.dir:
                pending.extend(node.nodes)
            else:
                yield node.entry()


class V2Response(msgspec.Struct, frozen=True, rename="camel"):
    """One JSON object of the API: a result or event (`node`), an error (`error_code`) or a mark.

    `index` is set in errors and in `progress` lines.
    """

    action: str = ""
    node: V2Node = V2Node()
    prev_node: V2Node | None = None
    error_code: int = 0
    message: str = ""
    cause: str = ""
    index: int = 0

    def error(self, what: str) -> errors.StoreError:
        """Return the exception for this error response to the request that `what` describes."""
        kind = _ERRORS.get(self.error_code)
        if kind is None:
            kind = errors.Unavailable if self.error_code >= _RAFT_CODE_MIN else errors.BadRequest
        return kind(f"{what}: {self.reason()}")

    def reason(self) -> str:
        """Return the server's own words."""
        return f"{self.message} ({self.cause})" if self.cause else self.message

    def change(self, prefix: str, *, hidden: bool) -> Event | Progress:
        """Return what this event means to a watch of `prefix`. `hidden` keeps hidden keys.

        An event outside the watch still moves its index on, so it becomes Progress.
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
                raise errors.HistoryCleared(f"event {self.action!r} is unknown: list again")
        return _scoped(event, prefix, hidden=hidden)


_DECODER = msgspec.json.Decoder(V2Response)


def decode(body: bytes) -> V2Response:
    """Decode one response or event line; MalformedResponse shows what came instead."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(f"{error} in {body[:80]!r}") from error


def _scoped(event: Event, prefix: str, *, hidden: bool) -> Event | Progress:
    if key_paths.holds(prefix, event.key):
        seen = hidden or not key_paths.is_hidden(prefix, event.key)
        return event if seen else Progress(event.index)
    if event.entry is None and key_paths.holds(event.key, prefix):
        return Event(event.index, prefix, None)
    # etcd's history matches deleted directories by bare string: /p answers watches on /px.
    return Progress(event.index)
