"""`GET /v2/auth/audit`: the last lines of the audit log, and with `stream=true` those that come.

A slow reader costs no memory: it reads from the lines that the log keeps. If it is behind them, it
gets a line that says how many it has missed.
"""

import asyncio
from collections.abc import Callable

from coordinator.server.access.audit_log import AuditLog
from coordinator.server.responses import Responses
from daemonkit.http.server import STATUS_LINES, Exchange
from daemonkit.http.turn_queue import TurnQueue

STREAMS_MAX = 32
# An empty line comes this often, so that a client notices a member that has gone.
ALIVE_S = 15.0
HEAD = STATUS_LINES[200] + b"Content-Type: application/json\r\n"


class AuditService:
    """Answers requests for the audit log. The caller has checked who may see it."""

    def __init__(self, log: AuditLog, responses: Responses) -> None:
        self._log = log
        self._responses = responses
        self._turns = TurnQueue()
        self._streams: set[AuditStream] = set()

    def serve(self, exchange: Exchange, _: str, query: bytes) -> None:
        """Answer with the last lines, or begin a stream."""
        if b"stream=true" not in query.split(b"&"):
            lines = self._log.read(self._log.oldest)[1]
            self._responses.plain(exchange, 200, b"application/json", lines)
            return
        if len(self._streams) >= STREAMS_MAX:
            why = f"{STREAMS_MAX} clients read the audit log already"
            self._responses.unavailable(exchange, why)
            return
        stream = AuditStream(exchange, self._log, self._turns, self._streams)
        stream.begin()

    def judge(self, may_read: Callable[[Exchange], bool]) -> None:
        """End the streams of those that may not read the log any more."""
        for stream in tuple(self._streams):
            if not may_read(stream.exchange):
                stream.break_off()

    def break_off(self) -> None:
        """End every stream."""
        for stream in tuple(self._streams):
            stream.break_off()


class AuditStream:
    """One client that follows the audit log."""

    def __init__(
        self, exchange: Exchange, log: AuditLog, turns: TurnQueue, streams: "set[AuditStream]"
    ) -> None:
        self.exchange = exchange
        self._log = log
        self._turns = turns
        self._streams = streams
        self._position = log.oldest
        self._scheduled = False
        self._loop = asyncio.get_running_loop()
        self._alive: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Send the head and the last lines."""
        exchange = self.exchange
        exchange.ends_with_client = True
        exchange.lost = self._close
        exchange.resumed = self._wake
        self._streams.add(self)
        self._log.follow(self._wake)
        exchange.start(HEAD, chunked=True)
        self._pump()
        self._alive = self._loop.call_later(ALIVE_S, self._tell_alive)

    def break_off(self) -> None:
        """End without an end, so that the client knows that lines may follow."""
        self._close()
        self.exchange.break_off()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._turns.add(self.exchange, self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        if self.exchange.finished or not self.exchange.writable:
            return
        missed, lines, self._position = self._log.read(self._position)
        self.exchange.write((b'{"missed":%d}\n' % missed if missed else b"") + lines)

    def _tell_alive(self) -> None:
        if self.exchange.writable:
            self.exchange.write(b"\n")
        self._alive = self._loop.call_later(ALIVE_S, self._tell_alive)

    def _close(self) -> None:
        if self._alive is not None:
            self._alive.cancel()
        self._log.leave(self._wake)
        self._streams.discard(self)
