"""Connections to endpoints, kept open between requests.

The standard library's HTTP is enough here. `requests` would be most of what a small program
imports, and it follows a user's proxy variables and ~/.netrc, which an agent of a host must not.
"""

import socket
import threading
import weakref
from collections import defaultdict
from http.client import HTTPConnection, HTTPSConnection
from select import POLLIN, poll
from urllib.parse import urlsplit

from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.http_request import EndpointFailed
from coordinator.client.http.failure_text import failure_text
from coordinator.client.http.tls_files import FileVersions, RenewedTls, Tls

CONNECT_S = 3.0
# Connections kept open for threads that talk at the same time.
IDLE_MAX = 16


class TlsConnection(HTTPSConnection):
    """A connection that knows which version of the TLS files it was made of."""

    made_of: FileVersions = ()


class ConnectionPool:
    """Idle connections of each endpoint. Thread-safe."""

    def __init__(self, tls: Tls) -> None:
        self._tls = RenewedTls(tls)
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[HTTPConnection]] = defaultdict(list)
        # A store that is dropped without a close must not leave its sockets open.
        weakref.finalize(self, _close_all, self._idle)

    def take(self, endpoint: Endpoint) -> HTTPConnection:
        """Return an idle connection, or a new one. EndpointFailed if none can be made."""
        while (connection := self._pop(endpoint)) is not None:
            if not _is_stale(connection) and not self.is_outdated(connection):
                return connection
            connection.close()
        connection = self._new(endpoint)
        try:
            connection.connect()
        except TimeoutError as error:
            raise EndpointFailed(
                f"did not accept a connection within {CONNECT_S:g} s", seen=False, answered=False
            ) from error
        except (OSError, UnicodeError) as error:
            reason = failure_text(error, endpoint.url)
            raise EndpointFailed(reason, seen=False, answered=False) from error
        return connection

    def give_back(self, endpoint: Endpoint, connection: HTTPConnection) -> None:
        """Keep a connection for the next request; its last response was read to the end."""
        with self._lock:
            idle = self._idle[endpoint.url]
            if connection.sock is not None and len(idle) < IDLE_MAX:
                idle.append(connection)
                return
        connection.close()

    def is_outdated(self, connection: HTTPConnection) -> bool:
        """Return whether the TLS files have been renewed since a connection was made."""
        return (
            isinstance(connection, TlsConnection) and connection.made_of != self._tls.current()[0]
        )

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            _close_all(self._idle)

    def _pop(self, endpoint: Endpoint) -> HTTPConnection | None:
        with self._lock:
            idle = self._idle[endpoint.url]
            return idle.pop() if idle else None

    def _new(self, endpoint: Endpoint) -> HTTPConnection:
        if endpoint.socket_path:
            return _UnixConnection(endpoint.socket_path)
        parts = urlsplit(endpoint.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port, timeout=CONNECT_S)
        try:
            version, context = self._tls.current()
        except OSError as error:  # also those of OpenSSL
            reason = failure_text(error, endpoint.url)
            raise EndpointFailed(reason, seen=False, answered=False) from error
        connection = TlsConnection(host, parts.port, timeout=CONNECT_S, context=context)
        connection.made_of = version
        return connection


class _UnixConnection(HTTPConnection):
    """A connection to a Unix socket of this host."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_S)
        self._path = path

    def connect(self) -> None:
        """Connect. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(CONNECT_S)
            self.sock.connect(self._path)
        except BaseException:
            self.close()
            raise


def _close_all(idle: dict[str, list[HTTPConnection]]) -> None:
    for connections in idle.values():
        while connections:
            connections.pop().close()


def _is_stale(connection: HTTPConnection) -> bool:
    """Return whether the server has closed an idle connection, or sent bytes without a request."""
    waiting = poll()
    waiting.register(connection.sock, POLLIN)
    return bool(waiting.poll(0))
