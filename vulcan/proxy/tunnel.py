"""A connection that has left HTTP: bytes both ways, each side held back by the other's pace."""

from collections.abc import Callable

from daemonkit.http.server import Exchange
from vulcan.proxy.connection import Broken, Upstream

# Without a byte in either direction; WebSocket pings come far more often.
IDLE_S = 3600.0


class Tunnel:
    """Both ends of an upgraded connection. `ended` is called once, with the bytes to the client."""

    def __init__(
        self, exchange: Exchange, upstream: Upstream, ended: Callable[[int], None]
    ) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._ended = ended
        self._over = False
        self._half_closed = False
        self._sent_bytes = 0
        exchange.lost = self._client_lost
        exchange.resumed = upstream.resume
        self._extend()

    def client_data(self, data: bytes) -> None:
        """Pass on what the client sent."""
        self._extend()
        self._upstream.send(data)
        if self._upstream.write_paused:
            self._exchange.pause()

    def client_end(self) -> None:
        """The client sends no more."""
        if self._half_closed:
            self._end()
            return
        self._half_closed = True
        self._upstream.send_end()

    def tunnel_data(self, data: bytes) -> None:
        """Pass on what the server sent."""
        self._extend()
        self._sent_bytes += len(data)
        self._exchange.send(data)
        if not self._exchange.writable:
            self._upstream.pause()

    def tunnel_end(self) -> None:
        """The server sends no more."""
        if self._half_closed:
            self._end()
            return
        self._half_closed = True
        self._exchange.send_end()

    def broken(self, upstream: Upstream, failure: Broken) -> None:  # noqa: ARG002
        """The server is gone: what it sent last goes out, then the client is let go."""
        self._over_once()
        self._exchange.lost = None
        self._exchange.send_last()

    def overdue(self) -> None:
        """Nothing came for too long."""
        self._end()

    def upstream_writable(self) -> None:
        """Read the client on."""
        self._exchange.resume()

    def _client_lost(self) -> None:
        self._upstream.drop()
        self._over_once()

    def _end(self) -> None:
        self._upstream.close_when_sent()
        self._exchange.lost = None
        self._exchange.send_last()
        self._over_once()

    def _over_once(self) -> None:
        if not self._over:
            self._over = True
            self._ended(self._sent_bytes)

    def _extend(self) -> None:
        self._upstream.deadline_s = self._upstream.pool.loop.time() + IDLE_S
