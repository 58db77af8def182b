"""Connections to servers: one HTTP/1.1 request at a time, pooled in between.

A connection is used again only when nothing about it is in doubt: the last answer ended by
its own framing, nothing came after it, the request had left completely, and the server did
not ask to close.
"""

import asyncio
import socket
import ssl
from collections import deque
from typing import Protocol, cast

from daemonkit.core.framing import (
    HEAD_END,
    BadMessage,
    Body,
    ChunkedBody,
    CloseBody,
    ResponseHead,
    parse_response_head,
    response_body,
)
from daemonkit.observe import logs
from vulcan.core.balancing.ejection import Fitness
from vulcan.core.balancing.sliding_window import Window
from vulcan.core.config.backend import Backend, Server
from vulcan.core.http.request_head import Incoming, incoming, interim, switching
from vulcan.proxy import tls_contexts

HEAD_BYTES_MAX = 64 * 1024
# Interim answers (1xx) before the final one; more is a server that never ends.
INTERIM_MAX = 16
# Below the 60 s after which most servers close: a connection they close first costs a retry.
IDLE_S = 55.0
# One line of log a server in this time, however many requests fail.
REPORT_S = 5.0

_log = logs.get("vulcand")


class Broken(Exception):  # noqa: N818 - the connection is
    """The server's side of an exchange failed; `status` is what the client should hear."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Line(Protocol):
    """Who a connection works for, whatever is spoken on it."""

    def broken(self, upstream: "Upstream", failure: Broken) -> None:
        """The connection failed before its work was done."""
        ...

    def overdue(self) -> None:
        """The deadline passed."""
        ...

    def upstream_writable(self) -> None:
        """The server takes bytes again."""
        ...


class RawLine(Line, Protocol):
    """Both ends of a tunnel."""

    def tunnel_data(self, data: bytes) -> None:
        """The server sent bytes."""
        ...

    def tunnel_end(self) -> None:
        """The server sends no more."""
        ...


class Asker(Line, Protocol):
    """The request that a connection works for."""

    def connected(self, upstream: "Upstream") -> None:
        """A connection is there."""
        ...

    def dial_failed(self, failure: Broken) -> None:
        """No connection could be made."""
        ...

    def interim(self, status: int, head: bytes) -> None:
        """A 1xx answer came."""
        ...

    def switched(self, head: bytes, rest: bytes) -> None:
        """The upgrade was granted; `rest` came behind the head."""
        ...

    def answer_whole(self, incoming: Incoming, body: bytes) -> None:
        """The whole answer came at once."""
        ...

    def answer_begins(self, incoming: Incoming) -> None:
        """The final head came; the body follows."""
        ...

    def answer_data(self, pieces: list[bytes]) -> None:
        """More of the body came."""
        ...

    def answer_end(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        """The answer is complete."""
        ...


class Pool:
    """Connections to one server, made when needed and kept when good."""

    def __init__(self, loop: asyncio.AbstractEventLoop, backend: Backend, server: Server) -> None:
        self.loop = loop
        self.backend = backend
        self.server = server
        self.fitness = Fitness(loop.time())
        self.weight = float(server.weight)
        self.under_way = 0
        self.window = Window()
        self.host_line = f"Host: {server.authority}\r\n".encode()
        self.connections: set[Upstream] = set()
        self._idle: deque[Upstream] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._ends_s: float | None = None  # when the last request has to be over; None: it stays
        self._failures = 0  # since the last report
        self._reported_s = -REPORT_S

    @property
    def configured_weight(self) -> float:
        """The weight that the server's key says."""
        return float(self.server.weight)

    def is_fit(self, now_s: float) -> bool:
        """Whether requests should go there."""
        return self.fitness.is_fit(now_s)

    def take(self) -> "Upstream | None":
        """Return the connection that was used last, for others may be about to be closed."""
        while self._idle:
            upstream = self._idle.pop()
            if upstream.usable:
                return upstream
        return None

    def give(self, upstream: "Upstream") -> None:
        """Take a connection back for the next request."""
        if self._ends_s is not None or len(self._idle) >= self.backend.idle_max:
            upstream.close()
            return
        upstream.deadline_s = self.loop.time() + IDLE_S
        self._idle.append(upstream)

    def dial(self, asker: Asker) -> None:
        """Make a new connection for a request."""
        task = self.loop.create_task(self._dial(asker))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, asker: Asker) -> None:
        server, backend = self.server, self.backend
        seconds = backend.dial_s
        try:
            tls = tls_contexts.client(backend.tls) if server.secure else None
            name = backend.tls.server_name or server.host if tls else None
            async with asyncio.timeout(seconds + (backend.handshake_s if tls else 0.0)):
                _, upstream = await self.loop.create_connection(
                    lambda: Upstream(self),
                    server.host,
                    server.port,
                    ssl=tls,
                    server_hostname=name,
                    ssl_handshake_timeout=backend.handshake_s if tls else None,
                )
        except TimeoutError:
            failure = Broken(504, f"no connection within {seconds:g} s")
        except (OSError, ssl.SSLError, ssl.CertificateError) as error:
            failure = Broken(502, str(error))
        else:
            asker.connected(upstream)
            return
        asker.dial_failed(failure)

    def report(self, reason: str) -> None:
        """Tell the operator that a request failed at this server."""
        self._failures += 1
        now_s = self.loop.time()
        if now_s - self._reported_s >= REPORT_S:
            _log.warning(
                "server-failed",
                backend=self.backend.id,
                server=self.server.authority,
                reason=reason,
                failures=self._failures,
            )
            self._failures, self._reported_s = 0, now_s

    def sweep(self, now_s: float) -> None:
        """End what is past its deadline."""
        if self._ends_s is not None and self._ends_s <= now_s:
            for upstream in tuple(self.connections):
                upstream.expel("its key is gone, and the time to finish is over")
        while self._idle and self._idle[0].deadline_s <= now_s:
            self._idle.popleft().close()
        for upstream in tuple(self.connections):
            line = upstream.line
            if line is not None and upstream.deadline_s <= now_s:
                line.overdue()

    def retire(self) -> None:
        """Take no connection back; requests under way finish, within the backend's time for it.

        A tunnel may stay: it is not a request that ends, and its client would lose its session.
        """
        self._ends_s = self.loop.time() + self.backend.drain_s
        while self._idle:
            self._idle.pop().close()

    @property
    def busy(self) -> bool:
        """Whether any connection is there or about to be."""
        return bool(self.connections or self._dials)

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return sum(upstream.usable for upstream in self._idle)


class Upstream(asyncio.Protocol):
    """One connection to a server."""

    __slots__ = (
        "_body",
        "_buffer",
        "_interims",
        "_keep",
        "_method",
        "_paused",
        "_raw",
        "_transport",
        "_upgrade",
        "asker",
        "deadline_s",
        "heard",
        "pool",
        "request_sent",
        "requests",
        "write_paused",
    )

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._body: Body | None = None
        self._method = b""
        self._keep = False
        self._paused = False
        self._interims = 0
        self._upgrade = False
        self._raw: RawLine | None = None
        self.asker: Asker | None = None
        self.deadline_s = 0.0
        self.heard = False  # anything of the answer under way
        self.request_sent = False
        self.requests = 0
        self.write_paused = False

    @property
    def usable(self) -> bool:
        """Whether the connection stands, as far as we know."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def line(self) -> Line | None:
        """Who the connection works for."""
        return self._raw or self.asker

    # for the asker

    def ask(
        self, asker: Asker, method: bytes, head: bytes, *, more: bool, upgrade: bool = False
    ) -> None:
        """Send a request head; `more` says that a body follows by `send` until `sent`."""
        assert self._transport is not None
        self.asker = asker
        self._upgrade = upgrade
        self._method = method
        self.heard = False
        self.request_sent = not more
        self.requests += 1
        self._transport.write(head)

    def send(self, data: bytes) -> None:
        """Send a piece of the request body, framed already; into the void when it is closing."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def tunnel(self, line: RawLine) -> None:
        """From here on, bytes go to `line` as they come."""
        self.asker = None
        self._raw = line

    def send_end(self) -> None:
        """End our side of a tunnel."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close_when_sent(self) -> None:
        """Let go of the tunnel; what was sent still leaves."""
        self._raw = None
        self.close()

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def drop(self) -> None:
        """Let go of who asked and cut the connection."""
        self.asker = self._raw = None
        if self._transport is not None:
            self._transport.abort()

    def expel(self, reason: str) -> None:
        """End the request under way, which may go to another server; tunnels stay."""
        if self.asker is not None:
            self._fail(reason)

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.pool.connections.add(self)
        if probe_s := int(self.pool.backend.keepalive_s):
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, probe_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, probe_s)

    def eof_received(self) -> bool:
        """Keep a tunnel whose other direction is still open."""
        if self._raw is None:
            return False
        self._raw.tunnel_end()
        return self._transport is not None and self._transport.can_write_eof()

    def data_received(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw.tunnel_data(data)
            return
        asker = self.asker
        if asker is None:
            self.drop()  # nobody asked: it would be taken for the next request's answer
            return
        try:
            if self._body is None:
                self._read_head(asker, data)
            else:
                self._read_body(asker, data)
        except BadMessage as bad:
            self._fail(f"not an HTTP answer: {bad.reason}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.pool.connections.discard(self)
        if self._raw is not None:
            raw, self._raw = self._raw, None
            raw.broken(self, Broken(502, str(exc) if exc else "closed"))
            return
        asker = self.asker
        if asker is None:
            return
        if isinstance(self._body, CloseBody) and exc is None:
            self.asker = None
            self._body = None
            asker.answer_end(())
        else:
            self._fail(str(exc) if exc else "closed before the answer was complete")

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if (line := self.line) is not None:
            line.upstream_writable()

    # reading

    def _read_head(self, asker: Asker, data: bytes) -> None:
        self.heard = True
        if self._buffer:
            data = self._buffer + data
        end = data.find(HEAD_END)
        if (end if end >= 0 else len(data)) > HEAD_BYTES_MAX:
            raise BadMessage(502, f"its head is larger than {HEAD_BYTES_MAX} bytes")
        if end < 0:
            self._buffer = data
            return
        self._buffer = b""
        head, rest = parse_response_head(data[: end + 4]), data[end + 4 :]
        if head.status < 200:
            self._read_interim(asker, head, rest)
            return
        self._keep = head.keep_alive
        made = _incoming(head, self._method)
        body = response_body(head, self._method)
        if body is None:
            self._release(rest)
            asker.answer_whole(made, b"")
        elif len(rest) == head.length:
            self._release(b"")
            asker.answer_whole(made, rest)
        else:
            self._body = body
            asker.answer_begins(made)
            if rest:
                self._read_body(asker, rest)

    def _read_interim(self, asker: Asker, head: ResponseHead, rest: bytes) -> None:
        self._interims += 1
        if head.status == 101 and self._upgrade:
            asker.switched(switching(head), rest)
            return
        if head.status == 101 or self._interims > INTERIM_MAX:
            raise BadMessage(502, f"an unasked {head.status}")
        asker.interim(head.status, interim(head))
        if rest:
            self._read_head(asker, rest)

    def _read_body(self, asker: Asker, data: bytes) -> None:
        assert self._body is not None
        pieces, rest = self._body.feed(data)
        if pieces:
            asker.answer_data(pieces)
        if rest is not None and self.asker is asker:  # not dropped over the last piece
            body = self._body
            self._release(rest)
            asker.answer_end(body.trailers if isinstance(body, ChunkedBody) else ())

    def _release(self, rest: bytes) -> None:
        """The answer is complete: keep the connection if it is beyond doubt."""
        self._body = None
        self.asker = None
        self._interims = 0
        if self._keep and self.request_sent and not rest and not self.write_paused:
            self.resume()
            self.pool.give(self)
        else:
            self.drop()

    def _fail(self, reason: str) -> None:
        asker = self.asker
        self.drop()
        if asker is not None:
            asker.broken(self, Broken(502, reason))


def _incoming(head: ResponseHead, method: bytes) -> Incoming:
    kind = "incoming-head" if method == b"HEAD" else "incoming"
    made = head.memo.get(kind)
    if made is None:
        made = head.memo[kind] = incoming(head, method)
    assert isinstance(made, Incoming)
    return made
