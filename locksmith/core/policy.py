"""The next step of a host that needs a reboot. The daemon and the simulation run this code.

The rules, in order:
 1. Without a reason to reboot, or with the strategy `off`, nothing happens.
 2. Anything that blocks a reboot keeps the host out of the queue.
 3. A strategy that locks needs the store. `best-effort` reboots without it after a bounded wait.
 4. A host that may reboot waits in the queue, and takes a free slot when its turn has come.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from locksmith.core import queue
from locksmith.core.window import Calendar, Closed


class Strategy(Enum):
    """The strategies of Go's locksmithd; its versions after 0.5 have no `best-effort`."""

    ETCD_LOCK = "etcd-lock"  # only with a slot
    BEST_EFFORT = "best-effort"  # with a slot; without one when the store stays unreachable
    REBOOT = "reboot"  # as soon as the host's own rules allow
    OFF = "off"

    @property
    def locks(self) -> bool:
        """Whether a reboot needs a slot."""
        return self in {Strategy.ETCD_LOCK, Strategy.BEST_EFFORT}


class Action(Enum):
    """The next step of a host without a slot."""

    IDLE = "idle"
    LEAVE_QUEUE = "leave the queue"
    JOIN_QUEUE = "join the queue"
    WAIT_TURN = "wait for the turn"
    ACQUIRE = "acquire a slot"
    REBOOT_UNLOCKED = "reboot without a slot"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, what the host waits for, and for how long if the action is to wait."""

    action: Action
    waits_for: tuple[str, ...] = ()
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules for one host."""

    strategy: Strategy
    calendar: Calendar = field(default_factory=Calendar)
    share: float = 0.0
    max_deferral: timedelta | None = None
    best_effort_wait_s: float = 600.0
    failures_max: int = 1


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """The state of the group in the store, as far as this host knows it."""

    free: int
    ahead: int | None = None  # hosts before this one in the queue; None outside of it
    free_for_s: float = 0.0  # for how long this host has seen a free slot
    pauses: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    corrupt: str = ""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The facts of the host: why it needs a reboot, since when, and what blocks the reboot."""

    now: datetime
    reasons: tuple[str, ...]
    since: datetime
    blockers: tuple[str, ...] = ()
    store_away_s: float | None = None  # None while the store is reachable


def decide(rules: Rules, host: HostFacts, group: GroupFacts) -> Decision:
    """Decide for a host that holds no slot."""
    queued = group.ahead is not None
    if not host.reasons or rules.strategy is Strategy.OFF:
        return Decision(Action.LEAVE_QUEUE if queued else Action.IDLE)
    blockers = blocked(rules, host, group)
    if blockers:
        return Decision(Action.LEAVE_QUEUE if queued else Action.IDLE, blockers)
    if not rules.strategy.locks:
        return Decision(Action.REBOOT_UNLOCKED)
    if host.store_away_s is not None:
        return _without_store(rules, host.store_away_s)
    if group.ahead is None:
        return Decision(Action.JOIN_QUEUE)
    return _in_queue(group, group.ahead)


def blocked(rules: Rules, host: HostFacts, group: GroupFacts) -> tuple[str, ...]:
    """Return everything that forbids a reboot now. Checked again right before the reboot."""
    found: list[str] = []
    opening = rules.calendar.at(host.now, rules.share)
    if isinstance(opening, Closed) and not is_overdue(rules, host):
        found.append(f"window: {opening}")
    found += [f"paused: {pause}" for pause in group.pauses]
    if rules.strategy.locks:
        found += halted(group.failures, rules.failures_max)
        if group.corrupt:
            found.append(f"semaphore: {group.corrupt}")
    return (*found, *host.blockers)


def halted(failures: tuple[str, ...], failures_max: int) -> list[str]:
    """Return why a group's reboots are halted: its failure budget is used up."""
    if len(failures) < max(1, failures_max):
        return []
    return [f"halted: failed hosts: {', '.join(failures)}; continue with locksmithctl resume"]


def is_overdue(rules: Rules, host: HostFacts) -> bool:
    """Whether the reboot was deferred for longer than allowed, so that windows no longer hold."""
    return rules.max_deferral is not None and host.now - host.since >= rules.max_deferral


def _without_store(rules: Rules, away_s: float) -> Decision:
    if rules.strategy is not Strategy.BEST_EFFORT:
        return Decision(Action.IDLE, ("store: unreachable; no reboot without a slot",))
    left_s = rules.best_effort_wait_s - away_s
    if left_s <= 0:
        return Decision(Action.REBOOT_UNLOCKED)
    reason = f"store: unreachable; reboots without a slot in {left_s:.0f} s"
    return Decision(Action.WAIT_TURN, (reason,), left_s)


def _in_queue(group: GroupFacts, ahead: int) -> Decision:
    place = f"queue: position {ahead + 1}"
    if group.free <= 0:
        return Decision(Action.WAIT_TURN, (f"{place}; all slots are taken",), float("inf"))
    left_s = queue.head_start_s(ahead, group.free) - group.free_for_s
    if left_s <= 0:
        return Decision(Action.ACQUIRE)
    return Decision(Action.WAIT_TURN, (f"{place}; another host goes first",), left_s)
