"""One key as it was written: immutable facts and the JSON that shows them."""

import msgspec

from coordinator.core.store.encoding import Moment, json_string, remaining_s

ROOT_KEY = b"/"
# A longer JSON is made each time: to send it takes longer than to make it, and it can be six times
# as long as its value.
RENDERED_BYTES_MAX = 64 * 1024


class Node(msgspec.Struct, gc=False, eq=False):
    """A file or, with no value, a directory. A write makes a new one, so events keep theirs.

    The root is the one node that no write made: its indexes are 0.
    """

    key: bytes
    value: bytes | None
    created: int
    modified: int
    expires_ns: int = 0
    rendered: bytes = b""

    def json(self, at: Moment) -> bytes:
        """Return the node as a JSON object, a directory without its children."""
        if self.expires_ns:
            return self.head(at) + self.tail()
        if self.rendered:
            return self.rendered
        shown = self._facts() + self.tail()
        if len(shown) <= RENDERED_BYTES_MAX:
            self.rendered = shown
        return shown

    def head(self, at: Moment) -> bytes:
        """Return the object's start, to which a directory's `nodes` may be added."""
        if not self.expires_ns:
            return self._facts()
        facts = self.rendered or self._facts()
        if len(facts) <= RENDERED_BYTES_MAX:
            self.rendered = facts
        head = b'%b,"expiration":"%b"' % (facts, at.expiry(self.expires_ns))
        ttl_s = remaining_s(self.expires_ns, at.now_ns)
        return b'%b,"ttl":%d' % (head, ttl_s) if ttl_s else head

    def tail(self) -> bytes:
        """Return the object's end, after `nodes`."""
        if not self.modified:
            return b"}"
        return b',"modifiedIndex":%d,"createdIndex":%d}' % (self.modified, self.created)

    def _facts(self) -> bytes:
        if self.value is not None:
            return b'{"key":%b,"value":%b' % (json_string(self.key), json_string(self.value))
        if self.key == ROOT_KEY:
            return b'{"dir":true'
        return b'{"key":%b,"dir":true' % json_string(self.key)
