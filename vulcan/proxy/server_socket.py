"""The socket of one connection to a server: writing to it, and pausing and resuming reads."""

import asyncio

from daemonkit.http.send_queue import unread_bytes


class ServerSocket(asyncio.Protocol):
    """One server's socket. `transport` is None before and after its life."""

    __slots__ = ("_paused", "_unread_bytes", "transport", "write_paused")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.write_paused = False
        self._paused = False
        self._unread_bytes = 0  # of what was sent, when it was last looked at

    def send(self, data: bytes) -> None:
        """Send framed bytes of the body. They are dropped when the connection is closing."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def send_end(self) -> None:
        """End our side of a tunnel."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def pause(self) -> None:
        """Read no more for now."""
        if self.transport is not None and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    def takes_bytes(self) -> bool:
        """Whether the server has read since the last call, or since writing was paused."""
        if self.transport is None:
            return False
        before, self._unread_bytes = self._unread_bytes, unread_bytes(self.transport)
        return self._unread_bytes < before

    def pause_writing(self) -> None:
        assert self.transport is not None
        self.write_paused = True
        self._unread_bytes = unread_bytes(self.transport)
