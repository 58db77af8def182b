"""Whether a server is fit to be asked: active checks, passive ejection, slow start, panic.

Time is told in seconds, never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

# Fewer fit servers than this part of all: the checks are more likely wrong than the servers,
# and half of them cannot carry the load of all. Everyone is asked (Envoy's panic threshold).
PANIC_SHARE = 0.5
# A server that has just come gets at least this share of its weight.
START_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Passive:
    """How many failed requests in a row put a server aside, and for how long."""

    failures: int = 1
    penalty_s: float = 10.0


class Fitness:
    """What one worker knows of one server."""

    __slots__ = ("_aside_until_s", "_began_s", "_failures", "down")

    def __init__(self, began_s: float) -> None:
        self.down = False  # by active checks
        self._began_s = began_s
        self._failures = 0
        self._aside_until_s = 0.0

    def failed(self, now_s: float, passive: Passive | None) -> None:
        """Count a request that the server did not answer."""
        self._failures += 1
        if passive is not None and self._failures >= passive.failures:
            self._failures = 0
            self._aside_until_s = now_s + passive.penalty_s

    def answered(self) -> None:
        """The server works."""
        self._failures = 0
        self._aside_until_s = 0.0

    def set_down(self, now_s: float, *, down: bool) -> None:
        """Take the verdict of active checks; a server that comes back starts slowly."""
        if self.down and not down:
            self._began_s = now_s
            self._aside_until_s = 0.0
        self.down = down

    def is_fit(self, now_s: float) -> bool:
        """Whether requests should go there."""
        return not self.down and now_s >= self._aside_until_s

    @property
    def aside_until_s(self) -> float:
        """When a penalty ends; in the past without one."""
        return self._aside_until_s

    def share(self, now_s: float, slow_start_s: float) -> float:
        """Return which part of its weight a server carries now."""
        if slow_start_s <= 0:
            return 1.0
        age = (now_s - self._began_s) / slow_start_s
        return 1.0 if age >= 1.0 else max(START_SHARE, age)


class Fit(Protocol):
    """A server with its weight as configured."""

    @property
    def configured_weight(self) -> float: ...

    def is_fit(self, now_s: float) -> bool:
        """Whether requests should go there."""
        ...


F = TypeVar("F", bound=Fit)


def in_rotation(servers: Sequence[F], now_s: float) -> tuple[F, ...]:
    """Return the servers to choose from: the fit ones, or all when too few are fit.

    Weight 0 drains a server: it gets nothing while another has any weight.
    """
    carrying = tuple(server for server in servers if server.configured_weight > 0)
    if not carrying:
        return ()
    fit = tuple(server for server in carrying if server.is_fit(now_s))
    return fit if len(fit) >= len(carrying) * PANIC_SHARE and fit else carrying


class Streak:
    """Rise and fall: so many checks in a row change the verdict of active checking."""

    __slots__ = ("_fall", "_rise", "_streak", "down")

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self._streak = 0
        self.down = False

    def checked(self, *, ok: bool) -> bool:
        """Count one check; return whether the verdict changed."""
        if ok is not self.down:
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < (self._rise if self.down else self._fall):
            return False
        self.down = not self.down
        self._streak = 0
        return True
