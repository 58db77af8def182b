"""Work that one request makes too much of: it is done in steps, a few in each turn of the loop.

What has arrived meanwhile is served between two turns, so nobody waits longer for it than a turn.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

# How long the steps of one turn may take together. The last one may overrun it, so a step should
# be short.
TURN_S = 0.004


class TurnQueue:
    """Steps in the order in which they were added. A step that has more to do adds itself again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def add(self, step: Callable[[], None]) -> None:
        """Call `step` in this turn of the event loop or in a later one."""
        self._steps.append(step)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = bool(self._steps)
        if not self._steps:
            return
        # First, so that a step that fails does not end the steps of others.
        self._loop.call_soon(self._turn)
        steps, end_s = self._steps, time.perf_counter() + TURN_S
        while steps:
            steps.popleft()()
            if time.perf_counter() >= end_s:
                return
