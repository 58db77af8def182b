"""A watch that reads ahead on its own thread: its consumer never waits for the network.

A server that hangs or a half-open connection can block a reader for longer than `close` may take.
Reading ahead also shows whether the next change is already here.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Protocol, Self

from coordinator.client.core.store_protocol import Event, Progress

# Beyond this the reader stops, the connection fills, and the server ends the watch with an error.
AHEAD_MAX = 10_000


class ChangeStream(Protocol):
    """Changes read from the network: `V2ChangeStream` or `V3ChangeStream`."""

    def changes(self) -> Iterator[Event | Progress]:
        """Yield the changes, blocking. One thread calls this, once."""
        ...

    def interrupt(self) -> None:
        """End `changes` from another thread."""
        ...


class PrefetchedWatch:
    """The changes of a ChangeStream as a Watch. One thread iterates; any thread may close."""

    def __init__(self, stream: ChangeStream) -> None:
        self._stream = stream
        self._moved = threading.Condition()
        self._ahead: deque[Event | Progress] = deque()
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[Event | Progress]:
        """Start to follow, and block for each change. Call it once."""
        threading.Thread(target=self._read, name="watch", daemon=True).start()
        while (change := self._next()) is not None:
            yield change

    def pending(self) -> bool:
        """Return whether the next change is already here."""
        return bool(self._ahead)

    def close(self) -> None:
        """End the watch. Its reader thread ends by itself as soon as the network lets it."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()
        self._stream.interrupt()

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
            for change in self._stream.changes():
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
