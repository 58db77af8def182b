"""A connection that has left HTTP: bytes both ways; a slow side holds the other one back."""

from collections.abc import Callable

from daemonkit.http.server import Exchange
from daemonkit.observe import process_counters
from vulcan.proxy.connection import UpstreamConnection, UpstreamFailure

# Without a byte in either direction. WebSocket pings come far more often.
IDLE_S = 3600.0


class Tunnel:
    """Both ends of an upgraded connection.

    `ended` is called once, with the number of bytes that went to the client.
    """

    def __init__(
        self,
        client: Exchange,
        connection: UpstreamConnection,
        now: Callable[[], float],
        ended: Callable[[int], None],
    ) -> None:
        self._client = client
        self._connection = connection
        self._now = now
        self._ended = ended
        self._over = False
        self._half_closed = False
        self._sent_bytes = 0
        client.lost = self._client_lost
        client.resumed = connection.resume
        self._extend_deadline()

    def client_data(self, data: bytes) -> None:
        """Pass on what the client sent."""
        self._extend_deadline()
        self._connection.send(data)
        if self._connection.write_paused:
            self._client.pause()

    def client_end(self) -> None:
        """The client sends no more."""
        if self._half_closed:
            self._end()
            return
        self._half_closed = True
        self._connection.send_end()

    def server_data(self, data: bytes) -> None:
        """Pass on what the server sent."""
        self._extend_deadline()
        self._sent_bytes += len(data)
        self._client.send(data)
        if not self._client.writable:
            self._connection.pause()

    def server_end(self) -> None:
        """The server sends no more."""
        if self._half_closed:
            self._end()
            return
        self._half_closed = True
        self._client.send_end()

    def connection_failed(self, connection: UpstreamConnection, failure: UpstreamFailure) -> None:  # noqa: ARG002
        """The server is gone: send what came last, then close the client's connection."""
        self._report_once()
        self._client.lost = None
        self._client.send_last()

    def deadline_passed(self) -> None:
        """Nothing came for too long."""
        self._end()

    def server_writable(self) -> None:
        """Read from the client again."""
        self._client.resume()

    def broken(self, error: Exception) -> None:
        """Close both ends because of an error of ours."""
        process_counters.record_error(error)
        self._connection.drop()
        self._client.abort()
        self._report_once()

    def _client_lost(self) -> None:
        self._connection.drop()
        self._report_once()

    def _end(self) -> None:
        self._connection.close()
        self._client.lost = None
        self._client.send_last()
        self._report_once()

    def _report_once(self) -> None:
        if not self._over:
            self._over = True
            self._ended(self._sent_bytes)

    def _extend_deadline(self) -> None:
        self._connection.deadline_s = self._now() + IDLE_S
