"""A request's body on its way to a server: what waits for a connection, what can be replayed."""

import msgspec

from daemonkit.core.framing import LENGTH_MAX, Fields
from vulcan.core.http.fields import trailer_section

# All bodies that are kept in a worker, together. Beyond it, a body is sent once.
KEPT_BYTES_MAX = 64 * 1024 * 1024


class ReplayMemory:
    """Counts the bytes that the requests of a worker keep, to send them again."""

    __slots__ = ("kept_bytes",)

    def __init__(self) -> None:
        self.kept_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Count bytes that are kept; return False when there are too many already."""
        if self.kept_bytes + size_bytes > KEPT_BYTES_MAX:
            return False
        self.kept_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Count bytes that are no longer kept."""
        self.kept_bytes -= size_bytes


class RequestBody(msgspec.Struct, eq=False):
    """The body of one request, framed for the server."""

    chunked: bool
    awaits_continue: bool = False  # the client waits to be told to send it
    bytes_max: int = LENGTH_MAX
    replay_bytes_max: int = 0
    # All pieces so far; None when they cannot, or can no longer, be sent again.
    replayable: list[bytes] | None = None
    complete: bool = False
    received_bytes: int = 0  # without framing
    pending: list[bytes] = []  # waits for a connection
    replay_bytes: int = 0
    removed_trailers: frozenset[bytes] = frozenset()  # as `trailer_section` takes them
    memory: ReplayMemory = msgspec.field(default_factory=ReplayMemory)

    def add(self, data: bytes) -> bytes:
        """Take a piece of the body; return it framed."""
        self.received_bytes += len(data)
        return self._keep(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def end(self, trailers: Fields) -> bytes:
        """Take the end of the body; return its framing, empty for a body of known length."""
        self.complete = True
        if not self.chunked:
            return b""
        return self._keep(b"0\r\n%b\r\n" % trailer_section(trailers, self.removed_trailers))

    def replay(self) -> None:
        """Send everything that came so far once more."""
        assert self.replayable is not None
        self.pending = [*self.replayable]

    def forget(self) -> None:
        """Keep nothing, so that the body cannot be sent again."""
        self.replayable = None
        self.memory.give_back(self.replay_bytes)
        self.replay_bytes = 0

    def _keep(self, framed: bytes) -> bytes:
        if self.replayable is None:
            return framed
        fits = self.replay_bytes + len(framed) <= self.replay_bytes_max
        if fits and self.memory.take(len(framed)):
            self.replay_bytes += len(framed)
            self.replayable.append(framed)
        else:
            self.forget()
        return framed
