"""The key space as bytes for a snapshot: a magic, a version, and one msgpack document."""

from typing import TypeVar

import msgspec

from coordinator.core.store.event import Action, KeyEvent
from coordinator.core.store.event_history import DEFAULT_BOUNDS, EventHistory, HistoryBounds
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.node import Node
from coordinator.core.store.reserved_keys import SECURITY, is_reserved
from coordinator.core.store.watcher_hub import WatcherHub

MAGIC = b"etc-keys"
# Raise it with any change of KeyspaceDump.
VERSION = 1
HEADER = MAGIC + bytes([VERSION])

_T = TypeVar("_T")
NodeRow = tuple[bytes, bytes | None, int, int, int]


class EventRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event without its index, which follows from its place."""

    action: Action
    key: bytes
    created: int
    node: NodeRow | None
    prev: NodeRow | None
    removed: list[bytes] | None


class KeyspaceDump(msgspec.Struct, frozen=True, array_like=True):
    """A whole key space. `first` is the index of the first of `events`."""

    digest: int
    notes: dict[str, bytes]
    nodes: list[NodeRow]
    first: int
    events: list[EventRow | None]
    counters: list[int]


class _Beginning(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a KeyspaceDump; what follows is skipped."""

    digest: int
    notes: dict[str, bytes]


class UnreadableDump(ValueError):  # noqa: N818 - it says what the dump is
    """The bytes are no dump, or one of a version that this program does not know."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(KeyspaceDump)
_beginning_decoder = msgspec.msgpack.Decoder(_Beginning)


def dump(space: KeySpace) -> bytes:
    """Return everything `load` needs: keys, history, notes, index, digest, counters."""
    return pack(
        KeyspaceDump(
            digest=space.digest,
            notes=space.notes,
            nodes=space.tree.rows(),
            first=space.history.first,
            events=[_row(event) for event in space.history.kept()],
            counters=space.stats.writes(),
        )
    )


def load(data: bytes, bounds: HistoryBounds = DEFAULT_BOUNDS) -> KeySpace:
    """Make the key space that `dump` wrote. Raises UnreadableDump."""
    dumped = unpack(data)
    space = KeySpace(bounds)
    space.digest = dumped.digest
    space.notes = dumped.notes
    events, nodes = _rebuild(dumped)
    space.history = EventHistory(bounds, before=dumped.first - 1)
    for event in events:
        # Before release 0.2 everybody could write these keys, and changes of them were events.
        space.history.append(None if event is not None and is_reserved(event.key) else event)
    space.hub = WatcherHub(space.history)
    space.tree.fill(nodes)
    if SECURITY in space.tree.nodes:
        # When the last change was is not kept. This is not before it, and not before any change
        # that a member whose state is replaced by this one knows of.
        space.security_index = space.index
    space.stats.restore(dumped.counters)
    return space


def notes(data: bytes) -> dict[str, bytes]:
    """Return only the notes of a dump. Raises UnreadableDump."""
    return _decode(data, _beginning_decoder).notes


def pack(dumped: KeyspaceDump) -> bytes:
    """Return the dump as bytes."""
    return HEADER + _encoder.encode(dumped)


def unpack(data: bytes) -> KeyspaceDump:
    """Read what `pack` wrote. Raises UnreadableDump."""
    return _decode(data, _decoder)


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[_T]) -> _T:
    if not data.startswith(MAGIC):
        raise UnreadableDump(f"not a dump of keys: it begins with {data[: len(MAGIC)]!r}")
    if not data.startswith(HEADER):
        version = data[len(MAGIC) : len(HEADER)].hex() or "missing"
        raise UnreadableDump(f"a dump of keys of version {version}; this program reads {VERSION}")
    try:
        return decoder.decode(memoryview(data)[len(HEADER) :])
    except msgspec.MsgspecError as error:
        raise UnreadableDump(f"a damaged dump of keys: {error}") from error


def _row(event: KeyEvent | None) -> EventRow | None:
    """Return an event's values."""
    if event is None:
        return None
    return EventRow(
        event.action,
        event.key,
        event.created,
        None if event.node is None else _values(event.node),
        None if event.prev is None else _values(event.prev),
        None if event.removed is None else list(event.removed),
    )


def _rebuild(dumped: KeyspaceDump) -> tuple[list[KeyEvent | None], list[Node]]:
    """Make the events and nodes; those that show the same write are one object again."""
    latest: dict[bytes, Node] = {}

    def node_of(values: NodeRow) -> Node:
        known = latest.get(values[0])
        if known is not None and known.modified == values[3]:
            return known
        node = latest[values[0]] = Node(*values)
        return node

    def event_of(index: int, row: EventRow) -> KeyEvent:
        prev = None if row.prev is None else node_of(row.prev)
        node = None if row.node is None else node_of(row.node)
        removed = None if row.removed is None else dict.fromkeys(row.removed)
        return KeyEvent(row.action, row.key, index, row.created, node, prev, removed)

    events = [
        None if row is None else event_of(index, row)
        for index, row in enumerate(dumped.events, dumped.first)
    ]
    return events, [node_of(values) for values in dumped.nodes]


def _values(node: Node) -> NodeRow:
    return node.key, node.value, node.created, node.modified, node.expires_ns
