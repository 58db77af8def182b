"""`/health`: whether a linearizable read succeeds at this moment.

A member that has lost its majority believes in its leader for a while, but cannot prove it.
"""

import asyncio

from coordinator.core.replica.pending import Outcome
from coordinator.core.store.api_errors import ApiError, ClusterUnavailable
from coordinator.core.v2api.info_pages import page
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.responses import Responses
from coordinator.server.telemetry import Telemetry
from daemonkit.http.server import Exchange

# etcd waits so long for the same read.
PATIENCE_S = 1.0


class HealthCheck:
    """Answers requests for `/health`."""

    def __init__(self, loop: DriveLoop, responses: Responses, telemetry: Telemetry) -> None:
        self._loop = loop
        self._responses = responses
        self._telemetry = telemetry

    def serve(self, exchange: Exchange, _: str, __: bytes) -> None:
        """Read, and answer with the outcome, or that there is none in time."""
        if not self._telemetry.member_status().healthy:
            self.answer(exchange, proved=False)
            return
        try:
            self._loop.replica.read(PendingHealth(self, exchange))
        except ClusterUnavailable:
            self.answer(exchange, proved=False)
        self._loop.wake()

    def answer(self, exchange: Exchange, *, proved: bool) -> None:
        """Answer with the page, once."""
        if not exchange.finished:
            status = self._telemetry.member_status(proved=proved)
            found = page(exchange.head.method.decode(), "/health", status)
            self._responses.page(exchange, found)


class PendingHealth:
    """A check that waits for its read."""

    __slots__ = ("_check", "_exchange", "_timer")

    def __init__(self, check: HealthCheck, exchange: Exchange) -> None:
        self._check = check
        self._exchange = exchange
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._give_up)

    def answer(self, outcome: Outcome) -> None:
        """Answer, unless it is too late."""
        self._timer.cancel()
        self._check.answer(self._exchange, proved=not isinstance(outcome, ApiError))

    def _give_up(self) -> None:
        self._check.answer(self._exchange, proved=False)
