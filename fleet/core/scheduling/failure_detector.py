"""How hosts stand: ready, suspect, lost. Time is told.

A host is suspect when its status key has expired, lost after a grace. Losing hosts moves work,
so it is done with care: at a bounded rate, never when many go at once (then it is the network
or the store), and a host that comes and goes gets nothing new until its penalty has decayed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.core.scheduling.cluster_state import Standing

GRACE_S = 60.0
# A tenth of the fleet may be given up at once, then one host in so many seconds.
BURST_SHARE = 0.1
REFILL_S = 10.0
# More than this share (and at least two) silent at once is no matter of hosts.
STORM_SHARE = 1 / 3
STORM_LEAST = 2
# Those who went within this time of each other went together.
STORM_WINDOW_S = 600.0
# After the shape of route flap damping (RFC 2439).
PENALTY = 1000.0
HALF_LIFE_S = 600.0
HOLD_AT = 2000.0
REUSE_AT = 750.0


@dataclass(slots=True)
class _Record:
    standing: Standing = Standing.READY
    silent_since_s: float = 0.0
    penalty: float = 0.0
    penalty_at_s: float = 0.0
    held: bool = False


class Health:
    """Remembers silences. One instance a leadership: a new leader gives everybody a new grace."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._hosts: dict[str, _Record] = {}
        self._tokens = -1.0
        self._refilled_s = 0.0
        self.storm = False

    def forgive(self, now_s: float) -> None:
        """Begin every suspect's grace anew: the store was away, and nobody could be heard."""
        for record in self._hosts.values():
            if record.standing is Standing.SUSPECT:
                record.silent_since_s = now_s

    def observe(self, now_s: float, heard: Mapping[str, bool]) -> dict[str, Standing]:
        """Return how all hosts stand, by whether their status key is there."""
        self._refill(now_s, len(heard))
        for name in self._hosts.keys() - heard.keys():
            del self._hosts[name]
        for name, is_heard in heard.items():
            self._one(name, now_s, is_heard=is_heard)
        self._give_up(now_s)
        return {name: self._shown(record) for name, record in self._hosts.items()}

    def penalty(self, name: str, now_s: float) -> float:
        """Return a host's penalty for having come and gone."""
        record = self._hosts.get(name)
        return self._decayed(record, now_s) if record else 0.0

    def _one(self, name: str, now_s: float, *, is_heard: bool) -> None:
        record = self._hosts.setdefault(name, _Record())
        if not is_heard and record.standing is Standing.READY:
            record.standing, record.silent_since_s = Standing.SUSPECT, now_s
            record.penalty = self._decayed(record, now_s) + PENALTY
            record.penalty_at_s = now_s
        elif is_heard:
            record.standing = Standing.READY
        worth = self._decayed(record, now_s)
        record.held = worth >= (REUSE_AT if record.held else HOLD_AT)

    def _give_up(self, now_s: float) -> None:
        recent = [
            record
            for record in self._hosts.values()
            if record.standing is not Standing.READY
            and now_s - record.silent_since_s < STORM_WINDOW_S + self._grace_s
        ]
        known = len(recent) + sum(r.standing is Standing.READY for r in self._hosts.values())
        self.storm = len(recent) >= STORM_LEAST and len(recent) > known * STORM_SHARE
        if self.storm:
            return
        for record in recent:
            overdue = now_s - record.silent_since_s >= self._grace_s
            if record.standing is Standing.SUSPECT and overdue and self._tokens >= 1:
                self._tokens -= 1
                record.standing = Standing.LOST

    def _refill(self, now_s: float, hosts: int) -> None:
        burst = max(1.0, math.ceil(hosts * BURST_SHARE))
        if self._tokens < 0:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + (now_s - self._refilled_s) / REFILL_S)
        self._refilled_s = now_s

    def _decayed(self, record: _Record, now_s: float) -> float:
        age_s = max(0.0, now_s - record.penalty_at_s)
        return record.penalty * math.exp2(-age_s / HALF_LIFE_S)

    def _shown(self, record: _Record) -> Standing:
        if record.standing is Standing.READY and record.held:
            return Standing.HELD
        return record.standing
