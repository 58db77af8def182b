"""TLS of a listener in a fleet: one port for TLS and plain HTTP, and clients whose names count.

The first byte of a connection says what it speaks: a TLS handshake begins with 0x16, which begins
no method of HTTP. The byte is looked at and left in the socket, so that TLS finds all of its
handshake there.

    OFF       only plain HTTP is served
    PREFER    TLS and plain HTTP are served
    REQUIRE   plain HTTP is answered with 400 and a sentence
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from daemonkit.core.http_limits import Limits
from daemonkit.core.tls.certificate import Certificate
from daemonkit.http import tls
from daemonkit.http.request_reader import HANDSHAKE
from daemonkit.http.tls import RenewedContext, RevokedFile, TlsFiles, handshaking
from daemonkit.observe import logs, process_counters
from daemonkit.process.lifecycle import CannotServe
from daemonkit.process.listening_socket import BACKLOG

# Connections that are taken in one turn of the event loop, so that a flood leaves it turns.
ACCEPT_MAX = 128
# After an accept that failed, for example because no file descriptors are left.
ACCEPT_AGAIN_S = 1.0
# When a server drains, the time for handshakes that are under way.
START_S = 0.5
# The time for a slow reader to get its last answer over TLS; the sweep closes a stalled one sooner.
TLS_CLOSE_S = 3600.0
PLAIN_REFUSED = "this port speaks TLS: write https:// instead of http://"

_log = logs.get("tls")


class TlsMode(Enum):
    """Whether a listener takes TLS and plain HTTP."""

    OFF = "off"
    PREFER = "prefer"
    REQUIRE = "require"


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """The certificates of a listener, and which clients it refuses. Shared by its connections."""

    context: RenewedContext
    revoked: RevokedFile | None = None
    mode: TlsMode = TlsMode.REQUIRE

    @property
    def fleet(self) -> str:
        """The fleet of the own certificate; empty if it names none."""
        own = self.context.own
        return own.identity.fleet if own and own.identity else ""

    def refresh(self) -> None:
        """Read files that were renewed."""
        self.context.refresh()
        if self.revoked is not None:
            self.revoked.refresh()

    def refusal(self, holder: Certificate) -> str:
        """Return why the holder of a verified certificate is refused; empty if it is not."""
        if self.revoked is not None and self.revoked.listed.is_revoked(holder):
            return f"the certificate of {holder.shown} is revoked"
        identity = holder.identity
        if identity is None:
            return ""
        if identity.kind == "signer":
            return f"the certificate of {identity.uri} is for signatures, not for connections"
        if self.fleet not in {"", identity.fleet}:
            return f"{identity.uri} is of another fleet than this server, which is of {self.fleet}"
        return ""


def listener_tls(
    files: TlsFiles, revoked: Path | None, mode: TlsMode = TlsMode.REQUIRE
) -> ListenerTls:
    """Load the files of a listener. CannotServe, OSError or ssl.SSLError says what is wrong."""
    try:
        listed = RevokedFile(revoked) if revoked is not None else None
    except ValueError as error:
        raise CannotServe(str(error)) from error
    return ListenerTls(RenewedContext(files, tls.server_context), listed, mode)


class TlsAcceptor:
    """Accepts connections on a socket, and starts TLS on those that begin it.

    `made` returns the protocol of a connection with or without TLS, `refused` that of a connection
    without TLS that is to be turned away.
    """

    def __init__(
        self,
        sock: socket.socket,
        served: ListenerTls,
        limits: Limits,
        made: Callable[[bool], asyncio.Protocol],
        refused: Callable[[], asyncio.Protocol],
    ) -> None:
        self._sock = sock
        self._tls = served
        self._limits = limits
        self._made = made
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[socket.socket, float] = {}  # for a first byte, since when
        self._starting: set[asyncio.Task[None]] = set()
        self._failed: Counter[str] = Counter()
        self._closed = False
        self._accept_on()

    def close(self) -> None:
        """Stop accepting; connections that have sent nothing are closed."""
        if self._closed:
            return
        self._accept()  # what has reached our socket
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for sock in tuple(self._waiting):
            self._look(sock)
        for sock in tuple(self._waiting):
            self._give_up(sock)

    async def started(self) -> None:
        """Wait until connections that have been accepted can be served, but not for long."""
        if self._starting:
            await asyncio.wait(tuple(self._starting), timeout=START_S)

    def sweep(self, now: float) -> None:
        """Close connections that send nothing, and log how many handshakes have failed."""
        for sock, since in tuple(self._waiting.items()):
            if now - since <= self._limits.idle_s:
                break  # the others came later
            self._give_up(sock)
        for why, count in self._failed.items():
            _log.info("handshakes-failed", why=why, count=count)
        self._failed.clear()

    def _accept_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(min(ACCEPT_MAX, BACKLOG)):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.error("accept-failed", exc=error)
                self._loop.remove_reader(self._sock)
                self._loop.call_later(ACCEPT_AGAIN_S, self._accept_on)
                return
            sock.setblocking(False)
            while len(self._waiting) + len(self._starting) >= self._limits.connections_max:
                if not self._waiting:
                    sock.close()
                    return
                process_counters.count_cut("idle")
                self._give_up(next(iter(self._waiting)))
            if self._first(sock) is None:
                self._waiting[sock] = self._loop.time()
                self._loop.add_reader(sock, self._look, sock)
            else:
                self._start(sock)

    def _first(self, sock: socket.socket) -> int | None:
        """Return the first byte, -1 if there will be none, None if it has not come."""
        try:
            first = sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return -1
        return first[0] if first else -1

    def _look(self, sock: socket.socket) -> None:
        if self._first(sock) is not None:
            self._loop.remove_reader(sock)
            del self._waiting[sock]
            self._start(sock)

    def _give_up(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock)
        del self._waiting[sock]
        sock.close()

    def _start(self, sock: socket.socket) -> None:
        if (first := self._first(sock)) == -1:
            sock.close()
            return
        task = self._loop.create_task(self._connect(sock, secure=first == HANDSHAKE))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _connect(self, sock: socket.socket, *, secure: bool) -> None:
        is_served = secure or self._tls.mode is TlsMode.PREFER
        handshaking.set(sock)
        try:
            await self._loop.connect_accepted_socket(
                (lambda: self._made(secure)) if is_served else self._refused,
                sock,
                ssl=self._tls.context.current if secure else None,
                # For a TLS client the handshake comes before the head.
                ssl_handshake_timeout=self._limits.head_s if secure else None,
                ssl_shutdown_timeout=TLS_CLOSE_S if secure else None,
            )
        except (OSError, ssl.SSLError) as error:
            sock.close()
            self._failed[_why(error)] += 1
        except Exception as error:  # noqa: BLE001 - a stranger's handshake, of any form
            sock.close()
            process_counters.record_error(error)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or type(error).__name__).lower().replace("_", " ")
