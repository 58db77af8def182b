"""A rollout of reboots on a virtual clock: with our policy, and with Go locksmith's algorithm.

Every host needs its reboot at its own moment of the first minute, and is down for one to three
minutes. With a probability of 3 % its services are broken after the reboot, until the host is
repaired half an hour later. For users a broken host is down, like one that reboots.

Ours: `policy.decide`, `queue` and `semaphore` decide; a watch reports a change after 5 to 50 ms; a
broken host keeps its slot. Go's: a failed lock is tried again after 10, 20, 40, ... 300 s, and a
slot is released five seconds after the daemon has started, even if the host is broken.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from locksmith.core import policy, queue, semaphore
from locksmith.core.policy import Action, GroupFacts, HostFacts, Rules, Strategy
from locksmith.core.queue import Waiter
from locksmith.core.semaphore import Semaphore

HOSTS = 1000
SLOTS = 10
FAILING = 0.03
REPAIR_S = 1800.0
DOWN_S = (60.0, 180.0)
ARRIVE_S = 60.0
WATCH_S = (0.005, 0.05)
# Go's daemon: the first pause is doubled before it is used, and the cap is five minutes.
GO_FIRST_S, GO_MAX_S = 5.0, 300.0
GO_RELEASE_S = 5.0
# Hosts further back in the queue do not act before the next change.
ACTIVE = 30
START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a rollout. `idle_s` is the total time of free slots while a host waited."""

    rolled_out_s: float
    idle_s: float
    most_down: int
    rebooted: int
    longest_handover_s: float


@dataclass(slots=True)
class Fleet:
    """The clock, the semaphore, the hosts, and what is measured."""

    rng: random.Random
    hosts: int
    slots: Semaphore
    now_s: float = 0.0
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    number: Iterator[int] = field(default_factory=itertools.count)
    waiting: dict[str, Waiter] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    most_down: int = 0
    idle_s: float = 0.0
    free_since: float | None = None
    longest_s: float = 0.0
    finished_s: float = 0.0

    def at(self, delay_s: float, what: Callable[[], None]) -> None:
        """Schedule an event."""
        heapq.heappush(self.events, (self.now_s + delay_s, next(self.number), what))

    def run(self) -> Outcome:
        """Run all events; return the result."""
        while self.events:
            then_s, _, what = heapq.heappop(self.events)
            if self.waiting:
                self.idle_s += max(0, self.slots.free) * (then_s - self.now_s)
            self.now_s = then_s
            what()
        return Outcome(self.finished_s, self.idle_s, self.most_down, len(self.done), self.longest_s)

    def arrivals(self, arrive: Callable[[str, int], None]) -> None:
        """Make each host need a reboot at a random time of the first minute."""
        for order in range(self.hosts):
            self.at(self.rng.uniform(0, ARRIVE_S), partial(arrive, f"h{order:04}", order))

    def acquire(self, name: str) -> bool:
        """Try to acquire a slot."""
        after = semaphore.acquire(self.slots, name)
        if not isinstance(after, Semaphore):
            return False
        if self.free_since is not None:
            self.longest_s = max(self.longest_s, self.now_s - self.free_since)
        self.slots = after
        self.free_since = self.now_s if after.free > 0 else None
        del self.waiting[name]
        return True

    def release(self, name: str) -> None:
        """Release a slot."""
        after = semaphore.release(self.slots, name)
        assert isinstance(after, Semaphore)
        self.slots = after
        if self.free_since is None and self.waiting:
            self.free_since = self.now_s

    def goes_down(self, name: str) -> bool:
        """Begin a reboot; return whether its services will be broken."""
        self.down.add(name)
        self.most_down = max(self.most_down, len(self.down))
        return self.rng.random() < FAILING

    def comes_up(self, name: str) -> None:
        """End a reboot: the host serves again."""
        self.down.discard(name)
        self.done.add(name)
        self.finished_s = self.now_s


def fleet_of(seed: int, hosts: int, slots: int) -> Fleet:
    """Return a fleet before its first reboot."""
    return Fleet(random.Random(seed), hosts, Semaphore(max=slots, listed=True))


def ours(seed: int, hosts: int = HOSTS, slots: int = SLOTS) -> Outcome:
    """Roll out with the policy of locksmithd."""
    fleet = fleet_of(seed, hosts, slots)
    rules = Rules(Strategy.ETCD_LOCK, failures_max=hosts)
    woken: dict[str, float] = {}

    def group_for(ahead: int) -> GroupFacts:
        seen_s = fleet.now_s - fleet.free_since if fleet.free_since is not None else 0.0
        return GroupFacts(fleet.slots.free, ahead, seen_s)

    def decide(name: str) -> None:
        woken.pop(name, None)
        if name not in fleet.waiting:
            return
        ahead = queue.position(fleet.waiting.values(), name)
        assert ahead is not None
        now = START + timedelta(seconds=fleet.now_s)
        step = policy.decide(rules, HostFacts(now, ("kernel",), START), group_for(ahead))
        if step.action is Action.ACQUIRE and fleet.acquire(name):
            begin(name)
        elif step.action is Action.WAIT_TURN and step.wait_s != float("inf"):
            wake(name, step.wait_s)

    def wake(name: str, delay_s: float) -> None:
        if woken.get(name, float("inf")) > fleet.now_s + delay_s:
            woken[name] = fleet.now_s + delay_s
            fleet.at(delay_s, lambda: decide(name))

    def changed() -> None:
        for waiter in queue.ordered(fleet.waiting.values())[:ACTIVE]:
            wake(waiter.id, fleet.rng.uniform(*WATCH_S))

    def begin(name: str) -> None:
        fails = fleet.goes_down(name)
        down_s = fleet.rng.uniform(*DOWN_S)
        fleet.at(down_s + (REPAIR_S if fails else 0.0), lambda: end(name))

    def end(name: str) -> None:
        fleet.comes_up(name)
        fleet.release(name)
        changed()

    def arrive(name: str, order: int) -> None:
        fleet.waiting[name] = Waiter(name, 0, order)
        if fleet.free_since is None and fleet.slots.free > 0:
            fleet.free_since = fleet.now_s
        changed()

    fleet.arrivals(arrive)
    return fleet.run()


def go(seed: int, hosts: int = HOSTS, slots: int = SLOTS) -> Outcome:
    """Roll out with the algorithm of Go's locksmithd."""
    fleet = fleet_of(seed, hosts, slots)

    def attempt(name: str, pause_s: float) -> None:
        if fleet.acquire(name):
            fails = fleet.goes_down(name)
            fleet.at(fleet.rng.uniform(*DOWN_S), lambda: booted(name, fails=fails))
            return
        pause_s = min(GO_MAX_S, pause_s * 2)
        fleet.at(pause_s, lambda: attempt(name, pause_s))

    def booted(name: str, *, fails: bool) -> None:
        fleet.at(REPAIR_S if fails else 0.0, lambda: fleet.comes_up(name))
        fleet.at(GO_RELEASE_S, lambda: fleet.release(name))

    def arrive(name: str, order: int) -> None:
        fleet.waiting[name] = Waiter(name, 0, order)
        if fleet.free_since is None and fleet.slots.free > 0:
            fleet.free_since = fleet.now_s
        attempt(name, GO_FIRST_S)

    fleet.arrivals(arrive)
    return fleet.run()
