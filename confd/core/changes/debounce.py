"""When each unit is rendered: at once, after its keys have been quiet, or again after a failure.

A unit is a bundle of resources, or one resource that is in no bundle.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from confd.core.config.resource import Timing

RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0


def splay_fraction(host: str, unit: str) -> float:
    """Return this host's share of a unit's splay, from 0 to 1; it is the same at every start."""
    digest = hashlib.sha256(f"{host}\0{unit}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def timing_of(timings: Iterable[Timing], default_wait: tuple[float, float]) -> Timing:
    """Return the timing of a unit: the longest of each of its resources' times."""
    found = list(timings)
    wait_min_s, wait_max_s = default_wait
    return Timing(
        max(each.wait_min_s for each in found) or wait_min_s,
        max(each.wait_max_s for each in found) or wait_max_s,
        max(each.splay_s for each in found),
    )


@dataclass(slots=True)
class Debouncer:
    """Knows when each unit is due. It never reads a clock: times are arguments.

    After a failure a unit is due again after a delay that doubles each time.
    """

    _due_s: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _first_change_s: dict[str, float] = field(default_factory=dict)

    def render_now(self, names: Iterable[str], now_s: float) -> None:
        """Make units due now."""
        for name in names:
            self._due_s[name] = now_s
            self._first_change_s.pop(name, None)

    def keys_changed(self, name: str, timing: Timing, now_s: float, splay: float = 0.0) -> None:
        """Make a unit due once its keys are quiet; `splay` is this host's fraction of the splay."""
        is_waiting = name in self._first_change_s
        first_s = self._first_change_s.setdefault(name, now_s)
        quiet_s = min(now_s + timing.wait_min_s, first_s + timing.wait_max_s)
        due_s = quiet_s + timing.splay_s * splay
        # A change may postpone its own wait, but never a pass or a retry that comes sooner.
        self._due_s[name] = due_s if is_waiting else min(due_s, self._due_s.get(name, due_s))

    def render_by(self, name: str, at_s: float) -> None:
        """Make a unit due at `at_s`, unless it is due sooner."""
        self._due_s[name] = min(at_s, self._due_s.get(name, at_s))

    def drop(self, names: Iterable[str]) -> None:
        """Forget units that no longer exist."""
        for name in names:
            self._due_s.pop(name, None)
            self._failures.pop(name, None)
            self._first_change_s.pop(name, None)

    def take_due(self, now_s: float) -> tuple[str, ...]:
        """Return the units that are due, in order of name; they are no longer due afterwards."""
        due = tuple(sorted(name for name, at_s in self._due_s.items() if at_s <= now_s))
        for name in due:
            del self._due_s[name]
            self._first_change_s.pop(name, None)
        return due

    def succeeded(self, name: str) -> None:
        """Note a success: the delay after the next failure is the first one again."""
        self._failures.pop(name, None)

    def failed(self, name: str, now_s: float) -> float:
        """Note a failure; return the delay in seconds until the unit is due again."""
        failures = self._failures.get(name, 0)
        self._failures[name] = failures + 1
        # The exponent is bounded so that years of failures do not overflow a float.
        delay_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures, 16))
        self._due_s.setdefault(name, now_s + delay_s)
        return delay_s

    def next_due_in_s(self, now_s: float) -> float | None:
        """Return the time until a unit is due; None if none is."""
        if not self._due_s:
            return None
        return max(0.0, min(self._due_s.values()) - now_s)
