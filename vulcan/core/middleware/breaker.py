"""A circuit breaker: standby, tripped, recovering. Time is told, never read.

Standby: every request passes; when the condition holds over the last ten seconds, it trips.
Tripped: none passes until the fallback duration is over. Recovering: a part of the requests
passes that grows to half over the recovery duration; the condition trips it again, the end of
the duration brings it back to standby.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from vulcan.core.balancing.sliding_window import Window


class State(Enum):
    """Where a breaker stands."""

    STANDBY = "standby"
    TRIPPED = "tripped"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a breaker stays where it is, and how often it looks."""

    fallback_s: float
    recovery_s: float
    check_s: float


class Breaker:
    """One breaker's state."""

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

    def __init__(self, condition: Callable[[Window], bool], timing: Timing) -> None:
        self._condition = condition
        self._timing = timing
        self.state = State.STANDBY
        self.window = Window()
        self._until_s = 0.0
        self._next_check_s = 0.0
        self._admitted = 0
        self._denied = 0

    def admits(self, now_s: float) -> bool:
        """Whether a request may pass."""
        if self.state is State.TRIPPED and now_s >= self._until_s:
            self._enter(State.RECOVERING, now_s + self._timing.recovery_s)
        if self.state is State.RECOVERING and now_s >= self._until_s:
            self._enter(State.STANDBY, 0.0)
        match self.state:
            case State.STANDBY:
                return True
            case State.TRIPPED:
                return False
            case State.RECOVERING:
                return self._admits_part(now_s)

    def answered(self, now_s: float, status: int, latency_s: float) -> State | None:
        """Count an answer; return the state that it led to, None when it led to none."""
        self.window.record(now_s, status, latency_s)
        if self.state is State.TRIPPED or now_s < self._next_check_s:
            return None
        self._next_check_s = now_s + self._timing.check_s
        self.window.forget(now_s)
        if not self._condition(self.window):
            return None
        self._enter(State.TRIPPED, now_s + self._timing.fallback_s)
        self.window.clear()
        return State.TRIPPED

    def _admits_part(self, now_s: float) -> bool:
        recovery_s = self._timing.recovery_s
        share = 0.5 * (recovery_s - (self._until_s - now_s)) / recovery_s
        if self._admitted + 1 <= share * (self._admitted + self._denied + 1):
            self._admitted += 1
            return True
        self._denied += 1
        return False

    def _enter(self, state: State, until_s: float) -> None:
        self.state = state
        self._until_s = until_s
        self._admitted = self._denied = 0
