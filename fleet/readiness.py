"""Checks of instances, beside the agent's turns: a connection, or a GET that answers 2xx or 3xx."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from fleet.model import Order, Want

EVERY_S, UNREADY_EVERY_S = 1.0, 0.2
TIMEOUT_S = 2.0
# One answer makes it ready; one that is lost proves nothing yet.
FALL = 3


class Readiness:
    """Asks every instance with a check of its own, and remembers the verdict."""

    def __init__(self, address: str, wake: Callable[[], None]) -> None:
        self._address, self._wake = address, wake
        self._ready: dict[tuple[str, int, int], bool] = {}
        self._tasks: dict[tuple[str, int, int], asyncio.Task[None]] = {}

    def is_ready(self, order: Order) -> bool:
        """Say what the last checks found; systemd's word stands for a job without any."""
        if order.check == "active" or not order.port:
            return True
        return self._ready.get(order.key, False)

    def follow(self, orders: Iterable[Order]) -> None:
        """Ask these, and no others."""
        wanted = {
            each.key: each
            for each in orders
            if each.check != "active" and each.port and each.want is Want.RUN
        }
        for key in self._tasks.keys() - wanted.keys():
            self._tasks.pop(key).cancel()
            self._ready.pop(key, None)
        for key, order in wanted.items():
            if key not in self._tasks:
                self._tasks[key] = asyncio.create_task(self._ask(order), name=f"check {order.name}")

    def close(self) -> None:
        """Ask nobody."""
        self.follow(())

    async def _ask(self, order: Order) -> None:
        misses = 0
        while True:
            good = await self._answers(order)
            misses = 0 if good else misses + 1
            was = self._ready.get(order.key, False)
            now = good or (was and misses < FALL)
            if now != was:
                self._ready[order.key] = now
                self._wake()
            await asyncio.sleep(EVERY_S if now else UNREADY_EVERY_S)

    async def _answers(self, order: Order) -> bool:
        kind, _, path = order.check.partition(":")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._address, order.port)
                with contextlib.closing(writer):
                    if kind == "tcp":
                        return True
                    host = f"{self._address}:{order.port}"
                    writer.write(
                        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                        "User-Agent: fleetd\r\n\r\n".encode()
                    )
                    status = (await reader.readline()).split()
        except (OSError, TimeoutError, ValueError):
            return False
        return len(status) > 1 and status[1][:1] in (b"2", b"3")
