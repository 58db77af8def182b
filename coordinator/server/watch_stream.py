"""A watch on its connection: it sends events as long as the client reads them.

A slow client costs no memory: its watcher keeps its place in the event history and continues from
there. If the history no longer reaches back to that place, the stream ends with an error line.
"""

import asyncio
from collections.abc import Callable

from coordinator.core.auth.decisions import Rights
from coordinator.core.store.api_errors import HISTORY_CLEARED, ApiError
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.watcher_hub import Watcher, WatcherHub
from coordinator.core.v2api.keys_api import WatchRequest
from daemonkit.http.server import Exchange
from daemonkit.http.turn_queue import TurnQueue

# How many events are encoded before a look whether the client still reads: they can be large.
PIECE_EVENTS_MAX = 16
PIECE_BYTES_MAX = 256 * 1024
# How many events are looked at for one piece, also those that its client may not see.
LOOKED_AT_MAX = 64
# How much of a stream is sent in one turn of the event loop, so that others get their turn too.
TURN_PIECES_MAX = 32


class WatchStream:
    """One client's watch, from its headers to its end."""

    __slots__ = (
        "_expiry",
        "_is_current",
        "_loop",
        "_moment",
        "_progress",
        "_scheduled",
        "_turns",
        "_watcher",
        "ended",
        "exchange",
        "request",
        "rights",
        "shows",
    )

    def __init__(
        self,
        exchange: Exchange,
        request: WatchRequest,
        moment: Callable[[], Moment],
        turns: TurnQueue,
        is_current: Callable[[], bool],
    ) -> None:
        self.exchange = exchange
        self._turns = turns
        self._moment = moment
        self._is_current = is_current
        self.request = request
        self._watcher: Watcher | None = None
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._progress: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self.ended: Callable[[WatchStream], None] | None = None
        self.rights: Rights | None = None  # of the client; None while auth is not enabled
        self.shows: Callable[[KeyEvent], bool] | None = None  # what it sees; None is everything

    def begin(self, hub: WatcherHub, head: bytes) -> None:
        """Send the headers and what the history has. Raises ApiError 401 before any byte."""
        request = self.request
        self._watcher = hub.watch(request.watch_filter, request.after(hub.history.last), self._wake)
        exchange = self.exchange
        exchange.ends_with_client = True
        exchange.lost = self._lost
        exchange.resumed = self._wake
        exchange.start(head, chunked=True)
        if self.request.progress_s and self.request.stream:
            self._progress = self._loop.call_later(self.request.progress_s, self._tell_progress)
        self._pump()

    def _end(self, last: bytes = b"") -> None:
        self._close()
        self.exchange.finish(last=last)

    def break_off(self) -> None:
        """End without an end: an answer that looked complete would be taken for an event."""
        self._close()
        self.exchange.break_off()

    def end_after(self, seconds: float) -> None:
        """Break the watch off when the token of its client has expired."""
        self._expiry = self._loop.call_later(seconds, self.break_off)

    def end_for_new_rights(self) -> None:
        """End with an error that makes the client list again: it sees other keys from now on."""
        if self._watcher is None:
            return
        index = self._watcher.position
        cause = "the rights of this client have changed: list the keys again"
        self.exchange.write(ApiError(HISTORY_CLEARED, cause, index).body())
        self._end()

    def _wake(self) -> None:
        # Not at once: what one batch of writes makes of events leaves in one piece.
        if not self._scheduled:
            self._scheduled = True
            self._turns.add(self.exchange, self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        for _ in range(TURN_PIECES_MAX if self.request.stream else 1):
            watcher = self._watcher
            if watcher is None or not self.exchange.writable:
                return
            self._send_piece(watcher)
            if not watcher.more:
                return
        if self._watcher is not None:
            self._wake()

    def _send_piece(self, watcher: Watcher) -> None:
        try:
            lines = self._next_lines(watcher)
        except ApiError as refusal:
            self.exchange.write(refusal.body())
            self._end()
            return
        if lines and self.request.stream:
            self.exchange.write(lines)
        elif lines:
            self._end(lines)

    def _next_lines(self, watcher: Watcher) -> bytes:
        events_max = PIECE_EVENTS_MAX if self.request.stream else 1
        lines, size_bytes, looked_at = list[bytes](), 0, 0
        while (
            len(lines) < events_max and size_bytes < PIECE_BYTES_MAX and looked_at < LOOKED_AT_MAX
        ):
            events = watcher.take(1)
            if not events:
                break
            looked_at += 1
            if self.shows is not None and not self.shows(events[0]):
                continue
            lines.append(events[0].line(self._moment()))
            size_bytes += len(lines[-1])
        return b"".join(lines)

    def _tell_progress(self) -> None:
        watcher = self._watcher
        if watcher is None:
            return
        # A member without a leader does not know what it lacks, and its silence says so.
        if not watcher.more and self.exchange.writable and self._is_current():
            self.exchange.write(b'{"action":"progress","index":%d}\n' % watcher.position)
        self._progress = self._loop.call_later(self.request.progress_s, self._tell_progress)

    def _lost(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        for timer in (self._progress, self._expiry):
            if timer is not None:
                timer.cancel()
        if self.ended is not None:
            self.ended(self)
