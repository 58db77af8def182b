"""Runs checks that take long on a thread, so that no request on the event loop waits for them."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from daemonkit.observe import process_counters

T = TypeVar("T")


class CheckThread(Generic[T]):
    """One thread. Who asks for a check that runs already waits for its result.

    `broken` is the result of a check that raised an exception.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, *, broken: T) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(1, name)  # starts none before it must
        self._broken = broken
        self._waiting: dict[Hashable, list[Callable[[T], None]]] = {}

    def start(
        self, key: Hashable, check: Callable[[], T], decided: Callable[[T], None], *, at_most: int
    ) -> bool:
        """Call `decided` with the result later; return False when `at_most` others are there."""
        if self.join(key, decided):
            return True
        if len(self._waiting) >= at_most:
            return False
        self._waiting[key] = [decided]

        def finished(future: asyncio.Future[T]) -> None:
            waiting = self._waiting.pop(key)
            if future.cancelled():
                return
            result = self._broken
            if isinstance(error := future.exception(), Exception):
                process_counters.record_error(error)
            else:
                result = future.result()
            for each in waiting:
                each(result)

        self._loop.run_in_executor(self._threads, check).add_done_callback(finished)
        return True

    def join(self, key: Hashable, decided: Callable[[T], None]) -> bool:
        """Call `decided` with the result of a check that is there already; return False if none."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(decided)
        return waiting is not None

    def close(self) -> None:
        """Check no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
