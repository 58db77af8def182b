"""Checks passwords on a thread, so that no other request waits for scrypt."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vulcan.core.middleware.chain import PasswordCheck

# A check takes a whole core and 16 MiB, and there are several workers.
THREADS = 1
# Different checks that run or wait in a worker: of usual secrets, those of three seconds.
CHECKS_MAX = 64


class PasswordChecks:
    """The checks of one worker. Requests with the same field wait for the same check."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(THREADS, "passwords")  # starts none before it must
        self._waiting: dict[tuple[int, bytes], list[Callable[[bool], None]]] = {}

    def start(self, check: PasswordCheck, decided: Callable[[bool], None]) -> bool:
        """Call `decided` with the result later; return False when there are too many checks."""
        key = (id(check.users), check.authorization)
        if waiting := self._waiting.get(key):
            waiting.append(decided)
            return True
        if len(self._waiting) >= CHECKS_MAX:
            return False
        self._waiting[key] = [decided]

        def finished(future: asyncio.Future[bool]) -> None:
            waiting = self._waiting.pop((id(check.users), check.authorization))
            if not future.cancelled():
                for each in waiting:
                    each(future.result())

        future = self._loop.run_in_executor(self._threads, check.users.admits, check.authorization)
        future.add_done_callback(finished)
        return True

    def close(self) -> None:
        """Check no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
