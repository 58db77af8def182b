"""Sends trace records to one syslog server as datagrams. No request waits for them."""

import asyncio
import socket
from collections import deque

from daemonkit.observe import logs
from vulcan.core.middleware.syslog import SyslogTarget

# Records that are kept while the server's name is being resolved; older ones are dropped.
WAITING_MAX = 256
# A name that cannot be resolved is tried again with the next record after this time.
RETRY_S = 1.0

_log = logs.get("vulcand")


class SyslogSender:
    """One syslog server. Its name is resolved on a thread: a resolver may take many seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: SyslogTarget) -> None:
        self._loop = loop
        self._target = target
        self._socket: socket.socket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._retry_s = 0.0
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)

    def send(self, record: bytes) -> None:
        """Send a record now, or once the server's address is known."""
        if self._socket is not None:
            self._send(self._socket, record)
            return
        self._waiting.append(record)
        if self._connecting is None and self._loop.time() >= self._retry_s:
            self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """Send no more."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._socket is not None:
            self._socket.close()

    async def _connect(self) -> None:
        try:
            self._socket = await _connected(self._loop, self._target)
        except (OSError, UnicodeError) as error:  # UnicodeError: not a host name
            self._failed(error)
            return
        finally:
            self._connecting = None
        while self._waiting and self._socket is not None:
            self._send(self._socket, self._waiting.popleft())

    def _send(self, sock: socket.socket, record: bytes) -> None:
        try:
            sock.send(record)
        except BlockingIOError:
            pass  # the server does not read, and the record is lost
        except OSError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        host, path = self._target.host, self._target.path
        _log.debug("trace-not-sent", host=host, path=path, error=str(error))
        self._waiting.clear()
        self._retry_s = self._loop.time() + RETRY_S
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _connected(loop: asyncio.AbstractEventLoop, target: SyslogTarget) -> socket.socket:
    """Return a connected socket; connecting a datagram socket only notes the address."""
    family: int = socket.AF_UNIX
    address: object = target.path
    if not target.path:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.connect(address)  # type: ignore[arg-type]
    except OSError:
        sock.close()
        raise
    return sock
