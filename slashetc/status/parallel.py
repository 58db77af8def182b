"""Asks many servers at the same time, and waits for none longer than for all."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from queue import Empty, SimpleQueue
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def in_parallel(
    calls: Mapping[K, Callable[[], T]],
    wait_s: float,
    enough: Callable[[T], bool] = lambda _: False,
) -> dict[K, T]:
    """Call each on a thread of its own; return what came within `wait_s`, by the given keys.

    Nothing more is waited for after a result that is `enough`. A call that takes longer is left
    alone; its thread does not keep the program running.
    """
    arrived: SimpleQueue[tuple[K, T]] = SimpleQueue()

    def run(key: K, call: Callable[[], T]) -> None:
        arrived.put((key, call()))

    for key, call in calls.items():
        threading.Thread(target=run, args=(key, call), daemon=True).start()
    found: dict[K, T] = {}
    end_s = time.monotonic() + wait_s
    while len(found) < len(calls):
        try:
            key, answer = arrived.get(timeout=max(0.0, end_s - time.monotonic()))
        except Empty:
            break
        found[key] = answer
        if enough(answer):
            break
    return found
