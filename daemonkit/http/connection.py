"""One client's connection: requests, answers, and a limit for each wait.

A connection has one exchange at a time. It is also the error boundary of its requests: an exception
from the application, or from our own parser, ends the exchange or the connection, never the
process.
"""

from daemonkit.core.framing import BadMessage, RequestHead
from daemonkit.core.request_origin import OriginPolicy
from daemonkit.http.client_socket import (
    ANSWER,
    CLOSED,
    IDLE,
    LINGER,
    TUNNEL,
    Listener,
    State,
)
from daemonkit.http.exchange import Exchange, Tunnel
from daemonkit.http.request_reader import RequestReader
from daemonkit.observe import process_counters

# The bytes of pipelined requests that are buffered before the socket is no longer read.
AHEAD_BYTES_MAX = 64 * 1024
# While the server drains, a new connection may still have a request on its way.
FRESH_S = 1.0
SHOWN_BYTES_MAX = 200  # of a target, in the log of an error


class Connection(RequestReader):
    """One client's connection."""

    __slots__ = ("_tunnel",)

    def __init__(self, server: Listener, *, secure: bool) -> None:
        super().__init__(server, secure=secure)
        self._tunnel: Tunnel | None = None

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        try:
            state = self._state
            if state is LINGER or state is CLOSED:
                return
            if self._body is not None:
                self._advance_body(data)
                return
            if self._tunnel is not None:
                self._tunnel.client_data(data)
                return
            self._buffer = self._buffer + data if self._buffer else data
            if self.exchange is None and not self.write_paused:
                self._parse()
            elif len(self._buffer) > AHEAD_BYTES_MAX:
                self.pause()
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self._broken(error)

    def eof_received(self) -> bool:
        """Keep a half-closed connection open for the answers that the client waits for.

        TLS has no half-closed connections.
        """
        try:
            return self._ended()
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self._broken(error)
            return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._state = CLOSED
        self._buffer = b""
        self._body = None
        self._tunnel = None
        self._take_gathered()
        self.server.closed(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._tell_lost(exchange)

    def resume_writing(self) -> None:
        self.write_paused = False
        self.server.overload.hold_unsent(self, 0)
        try:
            if self.exchange is None:
                self._go_on()
            elif self.exchange.resumed is not None:
                self.exchange.resumed()
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self._broken(error)

    def _ended(self) -> bool:
        if self._tunnel is not None:
            self._tunnel.client_end()
            return not self.secure
        exchange = self.exchange
        unanswered = (
            bool(self._buffer) and self.write_paused
            if exchange is None
            else self._body is None and not exchange.ends_with_client
        )
        if unanswered and not self.secure:
            self._half_closed = True
            return True
        if exchange is None:
            self._enter(LINGER)
        return False

    # The error boundary.

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """End an exchange because of an error of ours; nothing is answered if it has ended."""
        target = exchange.head.target[:SHOWN_BYTES_MAX].decode("latin-1")
        process_counters.record_error(error, method=exchange.head.method.decode(), target=target)
        if self.exchange is exchange:
            self._refuse(BadMessage(500, "internal error: the log of the server has its traceback"))

    def _broken(self, error: Exception) -> None:
        """End the exchange that an error came from, or the connection if there is none."""
        if self.exchange is not None:
            self.fail(self.exchange, error)
        else:
            process_counters.record_error(error)
            self.abort()

    def _tell_lost(self, exchange: Exchange) -> None:
        try:
            if exchange.lost is not None:
                exchange.lost()
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            process_counters.record_error(error)

    # for Exchange

    def dispatch(self, head: RequestHead, body: bytes) -> None:
        self._state = ANSWER
        self.exchange = exchange = Exchange(self, head, body)
        origins, fields = self.server.origins, head.fields
        try:
            if (
                origins is not None
                # What browsers do not send and a known name needs no closer look.
                and not (
                    fields.get(b"host") in origins.accepted
                    and b"origin" not in fields
                    and b"sec-fetch-site" not in fields
                )
                and self._is_foreign(origins, head)
            ):
                return
            self.server.application(exchange)
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self.fail(exchange, error)

    def _is_foreign(self, origins: OriginPolicy, head: RequestHead) -> bool:
        """Refuse a request that a web page of another site made a browser send."""
        why = origins.refusal(head, by_name=bool(self.peer[0]) and not self.secure)
        if why:
            self._refuse(BadMessage(403, why))
        return bool(why)

    def persistence(self, head: RequestHead) -> bytes:
        """Return the Connection field of an answer; note if it says that the connection ends."""
        if self._body is not None and not self.server.buffered:
            self.close_after = True  # the rest of the body would be read as the next request
        if self._half_closed and not self._buffer:
            self.close_after = True
        if self.close_after or not head.keep_alive or self.server.draining:
            self.close_after = True
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if head.minor == 0 else b""

    def answered(self) -> None:
        self.exchange = None
        if self._body is not None and self._state is ANSWER:
            self.close_after = True
        if self.close_after:
            self._last_words()
            return
        self._enter(IDLE)
        self._continued = False
        self._go_on()

    def switch(self, tunnel: Tunnel) -> None:
        self._state = TUNNEL
        self._tunnel = tunnel
        ahead, self._buffer = self._buffer, b""
        self.read_on()
        if ahead:
            tunnel.client_data(ahead)
        if self._half_closed:
            tunnel.client_end()

    def close_tunnel(self) -> None:
        self._tunnel = None
        self.close()

    def resume(self) -> None:
        # The bytes after the body are read only as far as they fit.
        if len(self._buffer) <= AHEAD_BYTES_MAX:
            self.read_on()

    # for Server

    def refuse(self, status: int, reason: str) -> None:
        """Answer that there are too many connections."""
        self._refuse(BadMessage(status, reason))

    def close_if_idle(self) -> None:
        """Close between two requests; a request in flight is the last one."""
        self.close_after = True
        if self._state is IDLE and not self._buffer:
            self.close()

    def expire(self, *, over: bool) -> None:
        """End the connection soon because the client's certificate ends; `over`: it has ended."""
        self.close_after = True
        exchange = self.exchange
        if not over or self._state is LINGER or self._state is CLOSED:
            return
        if exchange is None:
            self.close()  # also with a part of a request: it would come too late
        elif exchange.ends_with_client or self._tunnel is not None:
            exchange.break_off()

    def sweep(self, now: float) -> None:
        """Close the connection if it has been in its state for too long."""
        if self._takes_nothing(now):
            self.abort()
            return
        limits = self.server.limits
        spent_s = now - self._since
        match self._state:
            case State.FRESH if spent_s > (FRESH_S if self.server.draining else limits.idle_s):
                self.close()
            case State.IDLE if spent_s > limits.idle_s and not self._buffer:
                self.close()
            case State.HEAD if spent_s > limits.head_s:
                self._refuse(BadMessage(408, "the request head did not arrive in time"))
            case State.BODY if spent_s > limits.body_s:
                self._refuse(BadMessage(408, "the request body did not arrive in time"))
            case State.LINGER if spent_s > limits.linger_s:
                self.abort()
            case _:
                pass
