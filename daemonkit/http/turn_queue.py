"""Work of which one request makes too much: it is done in steps, some in each turn of the loop.

What has arrived meanwhile is served between two turns, so nobody waits longer for it than a turn.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from daemonkit.http.exchange import Exchange

# How long the steps of one turn may take together. The last one may overrun it, so a step is short.
TURN_S = 0.004


class TurnQueue:
    """Steps in the order in which they were added. A step that has more to do adds itself again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps: deque[tuple[Exchange, Callable[[], None]]] = deque()
        self._scheduled = False

    def add(self, exchange: Exchange, step: Callable[[], None]) -> None:
        """Call `step` in this turn of the event loop or in a later one, for this exchange."""
        self._steps.append((exchange, step))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        steps, end_s = self._steps, time.perf_counter() + TURN_S
        while steps and time.perf_counter() < end_s:
            exchange, step = steps.popleft()
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
                exchange.fail(error)
        self._scheduled = bool(steps)
        if steps:
            self._loop.call_soon(self._turn)
