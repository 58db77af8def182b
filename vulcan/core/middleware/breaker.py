"""A circuit breaker. The caller passes the time in.

- Standby: every request passes. The breaker trips when its condition holds over the last ten
  seconds.
- Tripped: no request passes until the fallback duration is over.
- Recovering: a growing share of the requests passes, up to half at the end of the recovery
  duration. The condition trips the breaker again; the end of the duration makes it standby.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from vulcan.core.balancing.sliding_window import SlidingWindow


class BreakerState(Enum):
    """The states of a breaker."""

    STANDBY = "standby"
    TRIPPED = "tripped"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class BreakerTiming:
    """How long a breaker stays in a state, and how often it checks its condition."""

    fallback_s: float
    recovery_s: float
    check_s: float


class CircuitBreaker:
    """The state machine of one breaker."""

    __slots__ = (
        "_admitted",
        "_condition",
        "_denied",
        "_next_check_s",
        "_timing",
        "_until_s",
        "state",
        "window",
    )

    def __init__(self, condition: Callable[[SlidingWindow], bool], timing: BreakerTiming) -> None:
        self._condition = condition
        self._timing = timing
        self.state = BreakerState.STANDBY
        self.window = SlidingWindow()
        self._until_s = 0.0
        self._next_check_s = 0.0
        self._admitted = 0
        self._denied = 0

    def admits(self, now_s: float) -> bool:
        """Whether a request may pass."""
        if self.state is BreakerState.TRIPPED and now_s >= self._until_s:
            self._enter(BreakerState.RECOVERING, now_s + self._timing.recovery_s)
        if self.state is BreakerState.RECOVERING and now_s >= self._until_s:
            self._enter(BreakerState.STANDBY, 0.0)
        match self.state:
            case BreakerState.STANDBY:
                return True
            case BreakerState.TRIPPED:
                return False
            case BreakerState.RECOVERING:
                return self._admits_part(now_s)

    def record(self, now_s: float, status: int, latency_s: float) -> BreakerState | None:
        """Count a response; return the new state, None when the state did not change."""
        self.window.record(now_s, status, latency_s)
        if self.state is BreakerState.TRIPPED or now_s < self._next_check_s:
            return None
        self._next_check_s = now_s + self._timing.check_s
        self.window.expire(now_s)
        if not self._condition(self.window):
            return None
        self._enter(BreakerState.TRIPPED, now_s + self._timing.fallback_s)
        self.window.clear()
        return BreakerState.TRIPPED

    def _admits_part(self, now_s: float) -> bool:
        recovery_s = self._timing.recovery_s
        share = 0.5 * (recovery_s - (self._until_s - now_s)) / recovery_s
        if self._admitted + 1 <= share * (self._admitted + self._denied + 1):
            self._admitted += 1
            return True
        self._denied += 1
        return False

    def _enter(self, state: BreakerState, until_s: float) -> None:
        self.state = state
        self._until_s = until_s
        self._admitted = self._denied = 0
