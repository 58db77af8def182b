"""What one worker remembers of a frontend, and what a request's head means under one table."""

from dataclasses import dataclass, field

import msgspec

from vulcan.core.balancing.policies import Balance
from vulcan.core.balancing.sliding_window import Window
from vulcan.core.config.frontend import Frontend
from vulcan.core.http.request_head import Origin, Outgoing
from vulcan.core.middleware.chain import Chain

# Requests sent again may be this part of all; a reserve lets quiet backends repeat some too.
RETRY_SHARE = 0.2
RETRY_RESERVE = 10.0


@dataclass(slots=True)
class Tally:
    """What happened to one frontend's requests."""

    answers: dict[int, int] = field(default_factory=dict)  # by status
    buckets: dict[int, int] = field(default_factory=dict)  # of latencies, as `stats` has them
    seconds: float = 0.0  # of all together
    dials_failed: int = 0
    retries: int = 0
    cut: int = 0  # answers that broke off after their head
    gone: int = 0  # clients that left before the end of their answer
    refused: int = 0  # by middlewares
    upgrades: int = 0

    def answer(self, status: int) -> None:
        """Count an answer by its status."""
        self.answers[status] = self.answers.get(status, 0) + 1

    def took(self, bucket: int, seconds: float) -> None:
        """Count how long a request took."""
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.seconds += seconds


@dataclass(slots=True)
class Lane:
    """One frontend at work; it lives as long as the frontend's key."""

    frontend: Frontend
    balance: Balance
    chain: Chain | None = None
    tally: Tally = field(default_factory=Tally)
    window: Window = field(default_factory=Window)


class RetryBudget:
    """Bounds what sending again adds to a backend's load when its servers are in trouble."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = RETRY_RESERVE

    def asked(self) -> None:
        """Count a request that is sent for the first time."""
        if self._left < RETRY_RESERVE:
            self._left += RETRY_SHARE

    def take(self) -> bool:
        """Whether one more may be sent again."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Plan(msgspec.Struct, frozen=True):
    """What a request head means under one table; remembered beside the head."""

    generation: object
    index: int  # of the store, when the plan was made
    lane: Lane
    frontend: Frontend
    origin: Origin
    outgoing: Outgoing
    idempotent: bool
    has_body: bool
    secure: bool
