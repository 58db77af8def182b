"""Long listings: rendered and sent in pieces, as fast as the client reads, and no faster.

A listing that is under way holds references to its nodes, not their JSON. It is begun when its turn
comes, so a hundred requests for everything do not take everything a hundred times at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from coordinator.core.store.api_errors import ApiError
from coordinator.core.v2api.keys_api import GetRequest
from coordinator.server.responses import Responses
from daemonkit.http.server import Exchange
from daemonkit.http.turn_queue import TurnQueue

# What is rendered in one step, about a millisecond of work.
STEP_NODES_MAX = 256
STEP_BYTES_MAX = 64 * 1024
# Each holds its nodes, 8 bytes each, also those that were deleted meanwhile.
LISTINGS_MAX = 16
# How long a client may be slow while others wait for its place.
PATIENCE_S = 2.0

Open = Callable[[Exchange, GetRequest], Iterator[bytes]]


class ListingStream:
    """One long listing on its connection."""

    def __init__(self, exchange: Exchange, request: GetRequest, queue: "ListingQueue") -> None:
        self.exchange = exchange
        self.stalled = False  # the client does not read
        self._request = request
        self._queue = queue
        self._pieces: Iterator[bytes] = iter(())

    def begin(self) -> None:
        """Take the listing and send the headers, once there is a place for it."""
        exchange, queue = self.exchange, self._queue
        if exchange.finished:
            queue.begin_next()
            return
        if not queue.admits(self):
            return
        try:
            pieces = queue.open_listing(exchange, self._request)
        except ApiError as refusal:
            queue.ended(self)
            queue.responses.error(exchange, refusal)
            return
        if not self._request.head:
            self._pieces = pieces
        exchange.lost = self._end
        exchange.resumed = self._resumed
        exchange.start(queue.responses.keys_head(), chunked=True)
        queue.turns.add(exchange, self._step)

    def _step(self) -> None:
        exchange = self.exchange
        if exchange.finished:
            self._end()
            return
        if not exchange.writable:
            self.stalled = True
            return
        parts, size_bytes = list[bytes](), 0
        for piece in self._pieces:
            parts.append(piece)
            size_bytes += len(piece)
            if size_bytes >= STEP_BYTES_MAX or len(parts) >= STEP_NODES_MAX:
                exchange.write(b"".join(parts))
                self._queue.turns.add(exchange, self._step)
                return
        self._end()
        exchange.finish(last=b"".join(parts))

    def _resumed(self) -> None:
        if self.stalled:
            self.stalled = False
            self._queue.turns.add(self.exchange, self._step)

    def _end(self) -> None:
        self._pieces = iter(())
        self._queue.ended(self)


class ListingQueue:
    """The long listings: at most `LISTINGS_MAX` are under way, the others wait."""

    def __init__(self, responses: Responses, open_listing: Open) -> None:
        self.turns = TurnQueue()
        self.responses = responses
        self.open_listing = open_listing
        self._loop = asyncio.get_running_loop()
        self._begun: dict[ListingStream, float] = {}  # and when, the oldest first
        self._waiting: deque[ListingStream] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, exchange: Exchange, request: GetRequest) -> None:
        """Answer with a long listing as soon as it is its turn."""
        self.turns.add(exchange, ListingStream(exchange, request, self).begin)

    def admits(self, stream: ListingStream) -> bool:
        """Give a listing a place, or let it wait. A slow client may have to give up its place."""
        if len(self._begun) < LISTINGS_MAX:
            self._begun[stream] = self._loop.time()
            return True
        self._waiting.append(stream)
        self._end_slowest()
        return False

    def ended(self, stream: ListingStream) -> None:
        """Let the next one begin."""
        if self._begun.pop(stream, None) is not None:
            self.begin_next()

    def begin_next(self) -> None:
        """Let the one that waits for longest begin."""
        if self._waiting:
            following = self._waiting.popleft()
            self.turns.add(following.exchange, following.begin)

    def _end_slowest(self) -> None:
        """End as many slow listings as others wait for, and look again in a while."""
        if self._timer is not None:
            return
        before_s = self._loop.time() - PATIENCE_S
        slow = [s for s, since_s in self._begun.items() if s.stalled and since_s <= before_s]
        for stream in slow[: len(self._waiting)]:
            stream.exchange.abort()
        self._timer = self._loop.call_later(PATIENCE_S, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        if self._waiting:
            self._end_slowest()
