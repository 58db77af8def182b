"""The health of hosts: ready, suspect, lost or flapping. Time is an argument.

A host is suspect when its status key has expired, and lost after a grace. The instances of a lost
host move, so three rules limit this: hosts are lost at a bounded rate; while many hosts fell silent
at once (a storm), none of these is lost, because the network or the store may be at fault; and a
flapping host gets no new instances until its penalty has decayed. A storm delays the loss of a
host, and never prevents it: hosts that stay silent are dead.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.core.model import HostHealth

GRACE_S = 60.0
# A tenth of the fleet may be lost at once, then one host in this many seconds.
BURST_SHARE = 0.1
REFILL_S = 10.0
# If more than this share of the hosts, and at least two, are silent, the hosts are not at fault.
STORM_SHARE = 1 / 3
STORM_LEAST = 2
# Hosts that fell silent within this time of each other count as silent at once. A storm holds a
# host for this long after its grace.
STORM_WINDOW_S = 600.0
# The penalty works as in route flap damping (RFC 2439).
PENALTY = 1000.0
HALF_LIFE_S = 600.0
SUPPRESS_AT = 2000.0
REUSE_AT = 750.0


@dataclass(slots=True)
class _HostRecord:
    health: HostHealth = HostHealth.READY
    silent_since_s: float = 0.0
    penalty: float = 0.0
    penalty_at_s: float = 0.0
    is_flapping: bool = False


class FailureDetector:
    """Remembers since when hosts are silent. A new leader starts with a new one."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._hosts: dict[str, _HostRecord] = {}
        self._tokens = -1.0
        self._refilled_s = 0.0
        self.storm = False

    def restart_grace(self, now_s: float) -> None:
        """Start the grace of every suspect host again, because the store was down."""
        for record in self._hosts.values():
            if record.health is HostHealth.SUSPECT:
                record.silent_since_s = now_s

    def observe(self, now_s: float, heard: Mapping[str, bool]) -> dict[str, HostHealth]:
        """Return the health of all hosts. `heard` says whether their status key exists."""
        self._refill(now_s, len(heard))
        for name in self._hosts.keys() - heard.keys():
            del self._hosts[name]
        for name, is_heard in heard.items():
            self._observe_one(name, now_s, is_heard=is_heard)
        self._declare_lost(now_s)
        return {name: self._health_of(record) for name, record in self._hosts.items()}

    def penalty(self, name: str, now_s: float) -> float:
        """Return a host's flapping penalty."""
        record = self._hosts.get(name)
        return self._decayed(record, now_s) if record else 0.0

    def _observe_one(self, name: str, now_s: float, *, is_heard: bool) -> None:
        record = self._hosts.setdefault(name, _HostRecord())
        if not is_heard and record.health is HostHealth.READY:
            record.health, record.silent_since_s = HostHealth.SUSPECT, now_s
            record.penalty = self._decayed(record, now_s) + PENALTY
            record.penalty_at_s = now_s
        elif is_heard:
            record.health = HostHealth.READY
        penalty = self._decayed(record, now_s)
        record.is_flapping = penalty >= (REUSE_AT if record.is_flapping else SUPPRESS_AT)

    def _declare_lost(self, now_s: float) -> None:
        hold_s = STORM_WINDOW_S + self._grace_s
        silent = [each for each in self._hosts.values() if each.health is not HostHealth.READY]
        recent = sum(now_s - each.silent_since_s < hold_s for each in silent)
        known = recent + len(self._hosts) - len(silent)
        self.storm = recent >= STORM_LEAST and recent > known * STORM_SHARE
        patience_s = hold_s if self.storm else self._grace_s
        for record in silent:
            is_due = now_s - record.silent_since_s >= patience_s
            if record.health is HostHealth.SUSPECT and is_due and self._tokens >= 1:
                self._tokens -= 1
                record.health = HostHealth.LOST

    def _refill(self, now_s: float, hosts: int) -> None:
        burst = max(1.0, math.ceil(hosts * BURST_SHARE))
        if self._tokens < 0:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + (now_s - self._refilled_s) / REFILL_S)
        self._refilled_s = now_s

    def _decayed(self, record: _HostRecord, now_s: float) -> float:
        age_s = max(0.0, now_s - record.penalty_at_s)
        return record.penalty * math.exp2(-age_s / HALF_LIFE_S)

    def _health_of(self, record: _HostRecord) -> HostHealth:
        if record.health is HostHealth.READY and record.is_flapping:
            return HostHealth.FLAPPING
        return record.health
