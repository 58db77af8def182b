"""What a host that needs a reboot does next. The daemon and the simulation run this.

The rules, in their order:
 1. without a need, or with the strategy `off`, nothing happens
 2. whatever blocks a reboot keeps the host out of the queue
 3. a strategy that locks needs the store; `best-effort` goes without it after a bounded wait
 4. who may go waits in the queue, and takes a free slot when its turn has come
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from locksmith.core import queue
from locksmith.core.strategy import Strategy
from locksmith.core.window import Calendar, Closed


class Act(Enum):
    """What to do now."""

    REST = "rest"
    LEAVE = "leave the queue"
    JOIN = "join the queue"
    AWAIT = "await the turn"
    TAKE = "take a slot"
    GO = "go without a slot"


@dataclass(frozen=True, slots=True)
class Step:
    """An act, after `wait_s` when it is to await, and what the host waits for."""

    act: Act
    waits_for: tuple[str, ...] = ()
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator of a host said."""

    strategy: Strategy
    calendar: Calendar = field(default_factory=Calendar)
    share: float = 0.0
    max_deferral: timedelta | None = None
    best_effort_wait_s: float = 600.0
    failures_max: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """What the store says about the group, as this host knows it."""

    free: int
    ahead: int | None = None  # hosts before this one in the queue; None outside of it
    free_for_s: float = 0.0  # how long this host has seen a free slot
    pauses: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    corrupt: str = ""


@dataclass(frozen=True, slots=True)
class Local:
    """What the host says: why it needs a reboot, since when, and what its gates say."""

    now: datetime
    reasons: tuple[str, ...]
    since: datetime
    gates: tuple[str, ...] = ()
    store_away_s: float | None = None  # None while the store is followed


def next_step(rules: Rules, local: Local, group: Group) -> Step:
    """Decide for a host that holds no slot."""
    queued = group.ahead is not None
    if not local.reasons or rules.strategy is Strategy.OFF:
        return Step(Act.LEAVE if queued else Act.REST)
    blocks = blocked(rules, local, group)
    if blocks:
        return Step(Act.LEAVE if queued else Act.REST, blocks)
    if not rules.strategy.locks:
        return Step(Act.GO)
    if local.store_away_s is not None:
        return _without_store(rules, local.store_away_s)
    if group.ahead is None:
        return Step(Act.JOIN)
    return _in_line(group, group.ahead)


def blocked(rules: Rules, local: Local, group: Group) -> tuple[str, ...]:
    """Return all that forbids a reboot now. Asked again right before the reboot."""
    found: list[str] = []
    overdue = is_overdue(rules, local)
    opening = rules.calendar.at(local.now, rules.share)
    if isinstance(opening, Closed) and not overdue:
        found.append(f"window: {opening}")
    found += [f"paused: {pause}" for pause in group.pauses]
    if rules.strategy.locks:
        found += halted(group.failures, rules.failures_max)
        if group.corrupt:
            found.append(f"semaphore: {group.corrupt}")
    return (*found, *local.gates)


def halted(failures: tuple[str, ...], failures_max: int) -> list[str]:
    """Return why a group's reboots are halted: its failure budget is spent."""
    if len(failures) < max(1, failures_max):
        return []
    return [f"halted: failed hosts: {', '.join(failures)}; locksmithctl resume goes on"]


def is_overdue(rules: Rules, local: Local) -> bool:
    """Whether the reboot was deferred for longer than allowed: windows hold it no more."""
    return rules.max_deferral is not None and local.now - local.since >= rules.max_deferral


def _without_store(rules: Rules, away_s: float) -> Step:
    if rules.strategy is not Strategy.BEST_EFFORT:
        return Step(Act.REST, ("store: away; no slot, no reboot",))
    left_s = rules.best_effort_wait_s - away_s
    if left_s <= 0:
        return Step(Act.GO)
    return Step(Act.AWAIT, (f"store: away; goes without it in {left_s:.0f} s",), left_s)


def _in_line(group: Group, ahead: int) -> Step:
    place = f"queue: place {ahead + 1}"
    if group.free <= 0:
        return Step(Act.AWAIT, (f"{place}; all slots are taken",), float("inf"))
    left_s = queue.wait_s(ahead, group.free) - group.free_for_s
    if left_s <= 0:
        return Step(Act.TAKE)
    return Step(Act.AWAIT, (f"{place}; another goes first",), left_s)
