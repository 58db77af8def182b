"""Waits for a store that starts together with this daemon, so that no part of it complains."""

import time
from collections.abc import Callable
from typing import TypeVar

from coordinator.client.core.errors import Unavailable

# A member starts within this time; after a reboot of all hosts, a majority of them.
DAEMON_PATIENCE_S = 10.0
AGAIN_S = 0.2
T = TypeVar("T")


class EffectUnknown(Unavailable):
    """A write may have taken effect, so it must not be sent again."""


class StartPatience:
    """Repeats calls that no endpoint serves, until `patience_s` have passed or one was served."""

    def __init__(self, patience_s: float) -> None:
        self._until_s = time.monotonic() + patience_s

    def repeat(self, call: Callable[[], T]) -> T:
        """Return the result of the first call that some endpoint serves. Raises as `call` does."""
        while True:
            try:
                return call()
            except EffectUnknown:
                raise
            except Unavailable:
                if time.monotonic() >= self._until_s:
                    raise
                time.sleep(AGAIN_S)

    def end(self) -> None:
        """Note that the store has served a call: from now on a failure is one."""
        self._until_s = 0.0
