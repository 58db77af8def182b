"""Retries of calls to the store that must succeed in the end."""

import random

from coordinator.client.core.errors import StoreError
from daemonkit.observe import logs

# Short enough to continue soon after the store is back. Jitter spreads the retries of a fleet.
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 30.0

_log = logs.get("locksmith")


class Retry:
    """The state of a retried call: growing pauses, and a log line for each change of the error."""

    def __init__(self, call: str) -> None:
        self._call = call
        self._pause_s = RETRY_FIRST_S
        self.ok = False
        self.error = ""

    def failed(self, error: StoreError) -> float:
        """Note a failure; return the seconds to wait before the next try."""
        if str(error) != self.error:
            _log.warning(f"{self._call}-failed", error=str(error))
        self.ok, self.error = False, str(error)
        pause_s, self._pause_s = self._pause_s, min(RETRY_MAX_S, self._pause_s * 2)
        return random.uniform(0.5, 1.0) * pause_s

    def succeeded(self) -> None:
        """Note a success."""
        if self.error:
            _log.info(f"{self._call}-works-again")
        self.ok, self.error, self._pause_s = True, "", RETRY_FIRST_S
