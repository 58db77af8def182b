"""A fleet that needs a reboot, on a virtual clock: our policy code, and Go locksmith's algorithm.

Every host comes at its own moment of the first minute, is down for one to three minutes, and
with 3 % comes up with its services broken until somebody repairs it half an hour later. A broken
host is as down to its users as one that reboots.

Ours: `policy.decide`, `queue` and `semaphore` decide; a watch tells of a change after 5 to
50 ms; a broken host keeps its slot. Go's: a lock that fails is tried again after 10, 20, 40, ...
300 s, and a slot is given back five seconds after the daemon starts, whatever else is broken.
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
# Who is further back in the line than this does not act before the next change.
LOOKING = 30
START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a roll-out went. `idle_s` adds up the free slots' time while somebody waited."""

    rolled_out_s: float
    idle_s: float
    most_down: int
    rebooted: int
    longest_handover_s: float


@dataclass(slots=True)
class World:
    """The clock, the semaphore, and what is counted of them."""

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
        """Let something happen later."""
        heapq.heappush(self.events, (self.now_s + delay_s, next(self.number), what))

    def run(self) -> Outcome:
        """Let everything happen."""
        while self.events:
            then_s, _, what = heapq.heappop(self.events)
            if self.waiting:
                self.idle_s += max(0, self.slots.free) * (then_s - self.now_s)
            self.now_s = then_s
            what()
        return Outcome(self.finished_s, self.idle_s, self.most_down, len(self.done), self.longest_s)

    def arrivals(self, arrive: Callable[[str, int], None]) -> None:
        """Let each host come at its own moment of the first minute."""
        for order in range(self.hosts):
            self.at(self.rng.uniform(0, ARRIVE_S), partial(arrive, f"h{order:04}", order))

    def take(self, name: str) -> bool:
        """Try to take a slot."""
        after = semaphore.acquire(self.slots, name)
        if not isinstance(after, Semaphore):
            return False
        if self.free_since is not None:
            self.longest_s = max(self.longest_s, self.now_s - self.free_since)
        self.slots = after
        self.free_since = self.now_s if after.free > 0 else None
        del self.waiting[name]
        return True

    def give(self, name: str) -> None:
        """Give a slot back."""
        after = semaphore.release(self.slots, name)
        assert isinstance(after, Semaphore)
        self.slots = after
        if self.free_since is None and self.waiting:
            self.free_since = self.now_s

    def goes_down(self, name: str) -> bool:
        """Begin a reboot; say whether it will fail."""
        self.down.add(name)
        self.most_down = max(self.most_down, len(self.down))
        return self.rng.random() < FAILING

    def comes_up(self, name: str) -> None:
        """Be of use again."""
        self.down.discard(name)
        self.done.add(name)
        self.finished_s = self.now_s


def world(seed: int, hosts: int, slots: int) -> World:
    """Return a fleet before its first reboot."""
    return World(random.Random(seed), hosts, Semaphore(max=slots, listed=True))


def ours(seed: int, hosts: int = HOSTS, slots: int = SLOTS) -> Outcome:
    """Roll out with locksmithd's policy."""
    it = world(seed, hosts, slots)
    rules = Rules(Strategy.ETCD_LOCK, failures_max=hosts)
    woken: dict[str, float] = {}

    def group_for(ahead: int) -> GroupFacts:
        seen_s = it.now_s - it.free_since if it.free_since is not None else 0.0
        return GroupFacts(it.slots.free, ahead, seen_s)

    def decide(name: str) -> None:
        woken.pop(name, None)
        if name not in it.waiting:
            return
        ahead = queue.position(it.waiting.values(), name)
        assert ahead is not None
        now = START + timedelta(seconds=it.now_s)
        step = policy.decide(rules, HostFacts(now, ("kernel",), START), group_for(ahead))
        if step.action is Action.ACQUIRE and it.take(name):
            begin(name)
        elif step.action is Action.WAIT_TURN and step.wait_s != float("inf"):
            wake(name, step.wait_s)

    def wake(name: str, delay_s: float) -> None:
        if woken.get(name, float("inf")) > it.now_s + delay_s:
            woken[name] = it.now_s + delay_s
            it.at(delay_s, lambda: decide(name))

    def changed() -> None:
        for waiter in queue.ordered(it.waiting.values())[:LOOKING]:
            wake(waiter.id, it.rng.uniform(*WATCH_S))

    def begin(name: str) -> None:
        fails = it.goes_down(name)
        down_s = it.rng.uniform(*DOWN_S)
        it.at(down_s + (REPAIR_S if fails else 0.0), lambda: end(name))

    def end(name: str) -> None:
        it.comes_up(name)
        it.give(name)
        changed()

    def arrive(name: str, order: int) -> None:
        it.waiting[name] = Waiter(name, 0, order)
        if it.free_since is None and it.slots.free > 0:
            it.free_since = it.now_s
        changed()

    it.arrivals(arrive)
    return it.run()


def go(seed: int, hosts: int = HOSTS, slots: int = SLOTS) -> Outcome:
    """Roll out as Go's locksmithd does."""
    it = world(seed, hosts, slots)

    def attempt(name: str, pause_s: float) -> None:
        if it.take(name):
            fails = it.goes_down(name)
            it.at(it.rng.uniform(*DOWN_S), lambda: booted(name, fails=fails))
            return
        pause_s = min(GO_MAX_S, pause_s * 2)
        it.at(pause_s, lambda: attempt(name, pause_s))

    def booted(name: str, *, fails: bool) -> None:
        it.at(REPAIR_S if fails else 0.0, lambda: it.comes_up(name))
        it.at(GO_RELEASE_S, lambda: it.give(name))

    def arrive(name: str, order: int) -> None:
        it.waiting[name] = Waiter(name, 0, order)
        if it.free_since is None and it.slots.free > 0:
            it.free_since = it.now_s
        attempt(name, GO_FIRST_S)

    it.arrivals(arrive)
    return it.run()
