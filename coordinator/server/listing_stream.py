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
from coordinator.server.turn_queue import TurnQueue
from daemonkit.http.server import Exchange

# What is rendered in one step, about a millisecond of work.
STEP_NODES_MAX = 256
STEP_BYTES_MAX = 64 * 1024
# Each holds its nodes, 8 bytes each, also those that were deleted meanwhile.
LISTINGS_MAX = 16
# How long a client may be slow while others wait for its place.
PATIENCE_S = 2.0

Open = Callable[[GetRequest], Iterator[bytes]]


class ListingStream:
    """One long listing on its connection."""

    def __init__(self, exchange: Exchange, request: GetRequest, listings: "ListingQueue") -> None:
        self.exchange = exchange
        self.request = request
        self.stalled = False  # the client does not read
        self._listings = listings
        self._pieces: Iterator[bytes] = iter(())

    def begin(self, pieces: Iterator[bytes], head: bytes) -> None:
        """Send the headers; `pieces` is the body."""
        exchange = self.exchange
        self._pieces = iter(()) if self.request.head else pieces
        exchange.lost = self._end
        exchange.resumed = self._resumed
        exchange.start(head, chunked=True)
        self._listings.turns.add(self._step)

    def _step(self) -> None:
        exchange = self.exchange
        if exchange.finished:
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
                self._listings.turns.add(self._step)
                return
        exchange.finish(last=b"".join(parts))
        self._end()

    def _resumed(self) -> None:
        if self.stalled:
            self.stalled = False
            self._listings.turns.add(self._step)

    def _end(self) -> None:
        self._pieces = iter(())
        self._listings.ended(self)


class ListingQueue:
    """The long listings: at most `LISTINGS_MAX` are under way, the others wait."""

    def __init__(self, responses: Responses, open_listing: Open) -> None:
        self.turns = TurnQueue()
        self._loop = asyncio.get_running_loop()
        self._responses = responses
        self._open = open_listing
        self._begun: dict[ListingStream, float] = {}  # and when, the oldest first
        self._waiting: deque[ListingStream] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, exchange: Exchange, request: GetRequest) -> None:
        """Answer with a long listing as soon as it is its turn."""
        self._waiting.append(ListingStream(exchange, request, self))
        self.turns.add(self._begin)

    def ended(self, stream: ListingStream) -> None:
        """Let the next one begin."""
        self._begun.pop(stream, None)
        self.turns.add(self._begin)

    def _begin(self) -> None:
        """Begin the next listing. It may take the place of one whose client is slow."""
        if not self._waiting:
            return
        if len(self._begun) >= LISTINGS_MAX:
            if not self._end_slowest() and self._timer is None:
                self._timer = self._loop.call_later(PATIENCE_S, self._look_again)
            return
        self.turns.add(self._begin)  # for the one after it
        stream = self._waiting.popleft()
        if stream.exchange.finished:
            return
        try:
            pieces = self._open(stream.request)
        except ApiError as refusal:
            self._responses.error(stream.exchange, refusal)
            return
        self._begun[stream] = self._loop.time()
        stream.begin(pieces, self._responses.keys_head())

    def _look_again(self) -> None:
        self._timer = None
        self._begin()

    def _end_slowest(self) -> bool:
        before_s = self._loop.time() - PATIENCE_S
        for stream, since_s in self._begun.items():
            if since_s <= before_s and stream.stalled:
                stream.stalled = False
                stream.exchange.abort()
                return True
        return False
