"""What the tests of the UDP and the TCP server share."""

import asyncio
from collections.abc import Callable

from daemonkit.observe import process_counters
from skydns.core.responder import Pending
from skydns.io.pending import Send

WAIT_S = 10.0


def echo(data: bytes, client: bytes = b"") -> bytes | None:
    return None if data == b"drop" else b"re:" + data


def never(pending: Pending, send: Send) -> None:
    raise AssertionError(f"an echo is never {pending}")


def errors() -> float:
    """Return how many errors of our own were recorded in this process."""
    return sum(s.value for s in process_counters.samples() if s.name == "internal_errors_total")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is anything
            await asyncio.sleep(0.005)
