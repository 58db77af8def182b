"""One change of the key space, as its writer and its watchers see it."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from coordinator.core.store.encoding import Moment, json_string
from coordinator.core.store.node import RENDERED_BYTES_MAX, Node

Action = Literal[
    "set", "create", "update", "delete", "compareAndSwap", "compareAndDelete", "expire"
]


class KeyEvent(msgspec.Struct, gc=False, eq=False):
    """One change. `node` is the key as written, None when it was removed; `prev` what it was.

    `removed` holds the keys that went with a removed directory, without the directory's own.
    `created` is the creation index of the key (of the removed one after a removal). A
    `refresh` answers its writer and is shown to no watcher.
    """

    action: Action
    key: bytes
    index: int
    created: int
    node: Node | None
    prev: Node | None
    removed: Mapping[bytes, None] | None = None
    refresh: bool = False
    rendered: bytes = b""

    @property
    def is_creation(self) -> bool:
        """Whether the key was absent before (HTTP status 201)."""
        return self.action == "create" or (self.action == "set" and self.prev is None)

    def line(self, at: Moment) -> bytes:
        """Return the event as a line of JSON; a TTL is what remains then."""
        if self.rendered:
            return self.rendered
        node, prev = self.node, self.prev
        line = self._line(at, b"" if prev is None else b',"prevNode":' + prev.json(at))
        timed = (node is not None and node.expires_ns) or (prev is not None and prev.expires_ns)
        if not timed and len(line) <= RENDERED_BYTES_MAX:
            self.rendered = line
        return line

    def without_prev(self, at: Moment) -> bytes:
        """Return the event for somebody who may not know what was there before."""
        return self._line(at, b"")

    def _line(self, at: Moment, previous: bytes) -> bytes:
        node = self._removal() if self.node is None else self.node.json(at)
        return b'{"action":"%b","node":%b%b}\n' % (self.action.encode(), node, previous)

    def _removal(self) -> bytes:
        of_directory = self.prev is not None and self.prev.value is None
        return b'{"key":%b%b,"modifiedIndex":%d,"createdIndex":%d}' % (
            json_string(self.key),
            b',"dir":true' if of_directory else b"",
            self.index,
            self.created,
        )
