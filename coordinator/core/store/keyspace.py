"""The key space: the keys after the commands of the log, the same on every member.

1. Only `apply` changes anything. It reads no clock: expiry is an absolute time in the command
   that writes a key, and a `Sync` command says what time it is.
2. Every accepted write, every expired key and every note takes the next index and one slot of
   the history. A refused write takes none.
3. Equal commands from equal states give equal states, equal dumps and equal digests.
"""

from typing import Literal, assert_never
from zlib import crc32

from coordinator.core.store import api_errors
from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync
from coordinator.core.store.encoding import text
from coordinator.core.store.event import Action, KeyEvent
from coordinator.core.store.event_history import DEFAULT_BOUNDS, EventHistory, HistoryBounds
from coordinator.core.store.node import ROOT_KEY, Node
from coordinator.core.store.reserved_keys import is_reserved
from coordinator.core.store.store_stats import Operation, StoreStats
from coordinator.core.store.tree import Tree, parent_of
from coordinator.core.store.watcher_hub import WatcherHub

# 2000-01-01: an earlier expiry counts as none, as in etcd.
EXPIRES_NS_MIN = 946_684_800 * 1_000_000_000
DIGEST_MASK = (1 << 64) - 1
# An odd constant without structure; any does. (Fibonacci hashing, Knuth 6.4)
DIGEST_FACTOR = 0x9E3779B97F4A7C15


class KeySpace:
    """The replicated state. Not thread-safe: the drive loop applies and reads."""

    def __init__(self, bounds: HistoryBounds = DEFAULT_BOUNDS) -> None:
        self.history = EventHistory(bounds)
        self.hub = WatcherHub(self.history)
        self.stats = StoreStats()
        self.tree = Tree()
        self.notes: dict[str, bytes] = {}
        # A 64-bit rolling hash of all that was applied. It covers the index, action, key, value,
        # creation and expiry of every change, every note, and the code of every refusal, in order:
        # members that applied the same log agree, and one that decided a single command
        # differently does not agree again.
        self.digest = 0
        # The index of the last change of a reserved key; 0 if there has never been one.
        self.security_index = 0

    @property
    def index(self) -> int:
        """The index of the last change."""
        return self.history.last

    @property
    def next_expiry_ns(self) -> int | None:
        """When the next key ends, None when no key has a time to live."""
        first = self.tree.ttls.first()
        return None if first is None else first[0]

    def apply(self, command: Command) -> KeyEvent | None:
        """Carry out a committed command; a note and a sync have no event.

        Raises ApiError for a write that is refused; its index is the unchanged one.
        """
        try:
            match command:
                case Put():
                    return self._put(command)
                case CreateInOrder(key=directory):
                    parent = b"" if directory == ROOT_KEY else directory
                    return self._create(b"%b/%020d" % (parent, self.index + 1), command)
                case Delete():
                    return self._delete(command)
                case Sync():
                    self._sync(command.now_ns)
                    return None
                case Note():
                    self._note(command)
                    return None
        except ApiError as refusal:
            self.stats.refused[operation_of(command)] += 1
            self._mix(refusal.index, refusal.code)
            raise
        assert_never(command)

    def read(self, key: bytes) -> Node:
        """Return the node at a key, and count the read. Raises ApiError 100, 104."""
        node = self.tree.nodes.get(key)
        if node is None:
            self.stats.refused["get"] += 1
            raise self._missing(key)
        self.stats.done["get"] += 1
        return node

    def find(self, key: bytes) -> Node:
        """Return the node at a key. Raises ApiError 100, 104."""
        node = self.tree.nodes.get(key)
        if node is None:
            raise self._missing(key)
        return node

    def _put(self, command: Put) -> KeyEvent:
        conditions = command.prev_value or command.prev_index
        if command.prev_exist is False:
            return self._create(command.key, command)
        if conditions:
            return self._rewrite("compareAndSwap", command)
        return self._rewrite("update", command) if command.prev_exist else self._set(command)

    def _set(self, command: Put) -> KeyEvent:
        key = command.key
        old = self.tree.nodes.get(key)
        if old is None:
            if command.refresh:
                raise self._missing(key)
            self._check_way(key)
        elif key == ROOT_KEY:
            raise self._refusal(api_errors.ROOT_READ_ONLY, key)
        elif old.value is None:
            raise self._refusal(api_errors.NOT_A_FILE, key)
        else:
            key = old.key
        value = command.value or b""
        if command.refresh and old is not None:
            value = old.value or b""
        index = self.index + 1
        node = Node(
            key, None if command.directory else value, index, index, end_of(command.expires_ns)
        )
        return self._written("set", node, old, refresh=command.refresh)

    def _create(self, key: bytes, command: Put | CreateInOrder) -> KeyEvent:
        if key == ROOT_KEY:
            raise self._refusal(api_errors.ROOT_READ_ONLY, key)
        if key in self.tree.nodes:
            raise self._refusal(api_errors.KEY_EXISTS, key)
        self._check_way(key)
        index = self.index + 1
        value = None if command.directory else command.value or b""
        return self._written(
            "create", Node(key, value, index, index, end_of(command.expires_ns)), None
        )

    def _rewrite(self, action: Literal["update", "compareAndSwap"], command: Put) -> KeyEvent:
        if command.key == ROOT_KEY:
            raise self._refusal(api_errors.ROOT_READ_ONLY, ROOT_KEY)
        old = self.find(command.key)
        if action == "compareAndSwap":
            _check_conditions(command, old, self.index)
        elif old.value is None and command.value:
            raise self._refusal(api_errors.NOT_A_FILE, old.key)
        value = old.value
        if value is not None and not command.refresh:
            value = command.value or b""
        node = Node(old.key, value, old.created, self.index + 1, end_of(command.expires_ns))
        return self._written(action, node, old, refresh=command.refresh)

    def _written(
        self, action: Action, node: Node, old: Node | None, *, refresh: bool = False
    ) -> KeyEvent:
        self.tree.place(node)
        event = KeyEvent(action, node.key, node.modified, node.created, node, old, None, refresh)
        self.stats.done[action] += 1
        self._record(event)
        return event

    def _delete(self, command: Delete) -> KeyEvent:
        conditional = command.prev_value or command.prev_index
        if command.key == ROOT_KEY:
            if conditional:
                raise self._refusal(api_errors.NOT_A_FILE)
            raise self._refusal(api_errors.ROOT_READ_ONLY, ROOT_KEY)
        old = self.find(command.key)
        if conditional:
            _check_conditions(command, old, self.index)
        elif old.value is None and not command.recursive:
            if not command.directory:
                raise self._refusal(api_errors.NOT_A_FILE, old.key)
            if self.tree.directories[old.key]:
                raise self._refusal(api_errors.DIRECTORY_NOT_EMPTY, old.key)
        action: Action = "compareAndDelete" if conditional else "delete"
        self.stats.done[action] += 1
        return self._removed(action, old)

    def _sync(self, now_ns: int) -> None:
        expiry = self.tree.ttls
        while (first := expiry.first()) is not None and first[0] <= now_ns:
            self.stats.expired += 1
            self._removed("expire", self.tree.nodes[first[1]])

    def _removed(self, action: Action, old: Node) -> KeyEvent:
        removed = self.tree.remove(old.key)
        event = KeyEvent(action, old.key, self.index + 1, old.created, None, old, removed)
        self._record(event)
        return event

    def _note(self, note: Note) -> None:
        self.notes[note.kind] = note.data
        self.history.append(None)
        self._mix(self.index, crc32(note.data, crc32(note.kind.encode())))

    def _record(self, event: KeyEvent) -> None:
        node = event.node
        outcome = crc32(event.key, crc32(event.action.encode()))
        if node is not None:
            outcome = crc32(node.value or b"", outcome) ^ node.expires_ns
        self._mix(event.index, outcome ^ event.created << 32)
        if event.refresh:
            self.history.append(None)
            return
        if is_reserved(event.key):
            self.history.append(None)
            self.security_index = event.index
            return
        self.history.append(event)
        self.hub.notify(event)

    def _mix(self, index: int, outcome: int) -> None:
        self.digest = (self.digest ^ index ^ outcome << 1) * DIGEST_FACTOR & DIGEST_MASK

    def _check_way(self, key: bytes) -> None:
        if not key.startswith(b"/"):
            # No member that keeps to the protocol sends it; all refuse it, and go on alike.
            raise self._refusal(api_errors.INVALID_FIELD, key)
        if parent_of(key) in self.tree.directories:
            return
        code, path = self.tree.obstacle(key)
        if code != api_errors.KEY_NOT_FOUND:
            raise self._refusal(code, path)

    def _missing(self, key: bytes) -> ApiError:
        return self._refusal(*self.tree.obstacle(key))

    def _refusal(self, code: int, cause: bytes = b"") -> ApiError:
        return ApiError(code, text(cause), self.index)


def end_of(expires_ns: int) -> int:
    """Return the expiry to store, 0 for never."""
    return expires_ns if expires_ns >= EXPIRES_NS_MIN else 0


def operation_of(command: Command) -> Operation:
    """Return the name that a write is counted under."""
    match command:
        case Put(prev_exist=False) | CreateInOrder():
            return "create"
        case Put(prev_value=value, prev_index=index) if value or index:
            return "compareAndSwap"
        case Put(prev_exist=exist):
            return "update" if exist else "set"
        case Delete(prev_value=value, prev_index=index):
            return "compareAndDelete" if value or index else "delete"
        case Sync() | Note():
            raise AssertionError(f"{command} is never refused")
    assert_never(command)


def _check_conditions(command: Put | Delete, old: Node, index: int) -> None:
    if old.value is None:
        raise ApiError(api_errors.NOT_A_FILE, text(old.key), index)
    failed = []
    if command.prev_value and command.prev_value != old.value:
        failed.append(b"[%b != %b]" % (command.prev_value, old.value))
    if command.prev_index not in {0, old.modified}:
        failed.append(b"[%d != %d]" % (command.prev_index, old.modified))
    if failed:
        raise ApiError(api_errors.COMPARE_FAILED, text(b" ".join(failed)), index)
