"""A watch that runs on a thread of its own, so that its consumer never waits for the network.

The network can hold a reader longer than `close` may take: a server that stands still, a
connection half open. And who reads ahead knows whether more is there already.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Protocol, Self

from coordinator.client.core.store_protocol import Event, Progress

# Then the reader stops, the connection fills, and the server ends the watch with an error.
AHEAD_MAX = 10_000


class Tail(Protocol):
    """Changes read from the network, as `tail.Tail` and `v3.tail.Tail` do."""

    def changes(self) -> Iterator[Event | Progress]:
        """Yield them on one thread, blocking."""
        ...

    def interrupt(self) -> None:
        """End `changes` from another thread."""
        ...


class Feed:
    """The changes of a Tail as a Watch. Iterate on one thread; close on any."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._moved = threading.Condition()
        self._ahead: deque[Event | Progress] = deque()
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Event | Progress]:
        """Start to follow, once; block for each change."""
        threading.Thread(target=self._read, name="watch", daemon=True).start()
        while (change := self._next()) is not None:
            yield change

    def pending(self) -> bool:
        """Say whether the next change is here already."""
        return bool(self._ahead)

    def close(self) -> None:
        """End the watch; its reader leaves by itself as soon as the network lets it."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()
        self._tail.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> Event | Progress | None:
        with self._moved:
            self._moved.wait_for(lambda: self._ahead or self._ended or self._closed)
            if self._closed:
                return None
            if not self._ahead:
                assert self._error is not None
                raise self._error
            if len(self._ahead) == AHEAD_MAX:
                self._moved.notify_all()
            return self._ahead.popleft()

    def _read(self) -> None:
        try:
            for change in self._tail.changes():
                if not self._take(change):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again on the consumer's thread
            self._error = error
        with self._moved:
            self._ended = True
            self._moved.notify_all()

    def _take(self, change: Event | Progress) -> bool:
        with self._moved:
            self._moved.wait_for(lambda: len(self._ahead) < AHEAD_MAX or self._closed)
            self._ahead.append(change)
            self._moved.notify_all()
            return not self._closed
