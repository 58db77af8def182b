"""Calls of the store that a daemon tries until they work."""

import random

from coordinator.client.core.errors import StoreError
from daemonkit.observe import logs

# While the store is away: soon enough after it is back, and a fleet must not knock in step.
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 30.0

_log = logs.get("locksmith")


class Attempts:
    """A call that is tried until it works: pauses that grow, and a log line for each change."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pause_s = RETRY_FIRST_S
        self.good = False
        self.error = ""

    def failed(self, error: StoreError) -> float:
        """Note a failure; return how long to wait."""
        if str(error) != self.error:
            _log.warning(f"{self._what}-failed", error=str(error))
        self.good, self.error = False, str(error)
        pause_s, self._pause_s = self._pause_s, min(RETRY_MAX_S, self._pause_s * 2)
        return random.uniform(0.5, 1.0) * pause_s

    def worked(self) -> None:
        """Note a success."""
        if self.error:
            _log.info(f"{self._what}-works-again")
        self.good, self.error, self._pause_s = True, "", RETRY_FIRST_S
