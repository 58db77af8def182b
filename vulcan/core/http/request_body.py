"""A request's body on its way to a server: what waits for a connection, what can be replayed."""

import msgspec

from daemonkit.core.framing import LENGTH_MAX, Fields
from vulcan.core.http.fields import trailer_section


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

    def _keep(self, framed: bytes) -> bytes:
        if self.replayable is not None:
            self.replay_bytes += len(framed)
            if self.replay_bytes > self.replay_bytes_max:
                self.replayable = None
            else:
                self.replayable.append(framed)
        return framed
