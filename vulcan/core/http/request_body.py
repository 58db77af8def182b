"""A request's body on its way: what waits for a connection, and what may be sent again."""

from daemonkit.core.framing import Fields
from vulcan.core.http import request_head


class Upload:
    """One request's body, framed for the server."""

    __slots__ = ("_chunked", "_keeps_max", "bytes", "complete", "held", "kept", "kept_bytes")

    def __init__(self, *, chunked: bool, has_body: bool, keeps_max: int | None) -> None:
        self._chunked = chunked
        self._keeps_max = keeps_max or 0
        self.complete = not has_body
        self.bytes = 0  # of the body, without framing
        self.held: list[bytes] = []  # not sent yet
        # All pieces so far; None when they are not, or no longer, to be sent again.
        self.kept: list[bytes] | None = None if keeps_max is None else []
        self.kept_bytes = 0

    def piece(self, data: bytes) -> bytes:
        """Take a piece; return it framed."""
        self.bytes += len(data)
        return self._keep(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self, trailers: Fields) -> bytes:
        """Take the end; return what frames it, empty when the length has said it."""
        self.complete = True
        if not self._chunked:
            return b""
        return self._keep(b"0\r\n%b\r\n" % request_head.trailers(trailers))

    def again(self) -> None:
        """Send all that was kept once more."""
        assert self.kept is not None
        self.held = [*self.kept]

    def _keep(self, framed: bytes) -> bytes:
        if self.kept is not None:
            self.kept_bytes += len(framed)
            if self.kept_bytes > self._keeps_max:
                self.kept = None
            else:
                self.kept.append(framed)
        return framed
