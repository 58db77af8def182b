"""The faults: each one is a context manager that heals the fault at its end.

The seed draws which faults come, how long they hold and by which rule their victims are chosen;
who leads at that moment is up to the processes, so a schedule comes again but not every step.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rig.cluster import ClusterMember
from tests.coordinator.chaos.member_hosts import HostCluster, number_of

HELD_S = (0.5, 3.5)
# Of each round, one fault may hold for long: what backs off meanwhile must be back soon after it.
LONG_S = (10.0, 90.0)
LONG = 0.5
# Half of the faults are aimed at the leader, where they hurt most.
AIMED = 0.5


class Nemesis:
    """Draws faults for a cluster and carries them out, one or two at a time."""

    def __init__(
        self, cluster: HostCluster, rng: random.Random, say: Callable[[str], None]
    ) -> None:
        self.cluster, self.rng, self.say = cluster, rng, say
        self.follower_stops = self.moved = 0  # and those after which another member led
        self._is_second = False

    def strike(self, name: str, held_s: float) -> None:
        """Let one fault come and go, sometimes with a second one inside it."""
        with ExitStack() as both:
            self._is_second = False
            both.enter_context(FAULTS[name](self))
            if name not in ALONE and self.rng.random() < 0.3:
                self._is_second = True
                second = self.rng.choice([each for each in FAULTS if each not in ALONE])
                both.enter_context(FAULTS[second](self))
            if held_s > HELD_S[1]:
                self.say(f"for {held_s:.0f} s")
            time.sleep(held_s)
        began = time.monotonic()
        self.cluster.bring_back()
        self.say(f"all members are well after {time.monotonic() - began:.1f} s")

    def draw_lengths(self, faults: int, longest_s: float) -> list[float]:
        """Return how long each of these faults holds: short, but for one of them now and then."""
        lengths = [self.rng.uniform(*HELD_S) for _ in range(faults)]
        if self.rng.random() < LONG and longest_s > LONG_S[0]:
            lengths[self.rng.randrange(faults)] = self.rng.uniform(LONG_S[0], longest_s)
        return lengths

    def victim(self) -> ClusterMember:
        """Draw a member: the leader, if there is one, or any."""
        any_one = self.rng.choice(self.cluster.members)
        if self.rng.random() < AIMED:
            return self.cluster.leader_now() or any_one
        return any_one

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill -9 of one member, or of all at once."""
        dead = self.cluster.members if self.rng.random() < 0.2 else [self.victim()]
        self.say(f"kill -9 {_names(dead)}")
        for each in dead:
            if each.running is not None:
                self.cluster.kill(each)
        yield
        self.cluster.bring_back()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGTERM, as at a restart: the process exits with 0, and leadership stays with others."""
        victim, leader = self.victim(), self.cluster.leader_now()
        self.say(f"SIGTERM {victim.name}{', the leader' if victim is leader else ''}")
        is_calm = leader not in {None, victim} and not self._is_second
        term = self.cluster.state(leader)["term"] if leader is not None and is_calm else None
        self.cluster.stop(victim)
        if leader is not None and is_calm:
            self.follower_stops += 1
            self.moved += self.cluster.state(leader)["term"] != term
        yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP: a process that does not know how long it was away."""
        victim = self.victim()
        self.say(f"SIGSTOP {victim.name}")
        self.cluster.pause(victim)
        yield
        self.cluster.resume(victim)

    @contextmanager
    def parted(self) -> Iterator[None]:
        """Cut a minority off from the others, in both directions."""
        first = self.victim()
        others = [each for each in self.cluster.members if each is not first]
        more = self.rng.randint(0, (len(others) - 1) // 2)
        minority = [first, *self.rng.sample(others, more)]
        rest = [each for each in others if each not in minority]
        self.say(f"partition {_names(minority)} | {_names(rest)}")
        self.cluster.network.part(map(number_of, minority), [number_of(each) for each in rest])
        yield
        self.cluster.network.heal()

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Cut one direction: some or all others do not hear a member, or it does not hear them."""
        victim = self.victim()
        others = [each for each in self.cluster.members if each is not victim]
        others = self.rng.sample(others, self.rng.randint(1, len(others)))
        deaf = self.rng.random() < 0.5
        self.say(f"one-way {victim.name} {'from' if deaf else 'to'} {_names(others)}")
        for each in others:
            ends = (number_of(each), number_of(victim))
            self.cluster.network.cut(*(ends if deaf else reversed(ends)))
        yield
        self.cluster.network.heal()

    @contextmanager
    def rolled(self) -> Iterator[None]:
        """Restart all members, one after the other."""
        self.say("rolling restart")
        for each in list(self.cluster.members):
            self.cluster.restart(each)
        yield

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Add a new member and remove an old one."""
        old = self.victim()
        self.say(f"replace {old.name}")
        new = self.cluster.replace(old)
        self.say(f"replaced {old.name} by {new.name}")
        yield

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Fill a member's disk; half of the time it is killed and must start on the full disk."""
        victim = self.victim()
        killed = self.rng.random() < 0.5
        self.say(f"disk full {victim.name}{', kill -9' if killed else ''}")
        self.cluster.fill(victim)
        if killed and victim.running is not None:
            self.cluster.kill(victim)
            self.cluster.begin(victim)
        yield
        self.cluster.free(victim)


FAULTS = {
    "kill": Nemesis.killed,
    "stop": Nemesis.stopped,
    "freeze": Nemesis.paused,
    "partition": Nemesis.parted,
    "one-way": Nemesis.muted,
    "rolling": Nemesis.rolled,
    "replace": Nemesis.replaced,
    "disk-full": Nemesis.filled,
}
# These need a majority while they go on.
ALONE = {"rolling", "replace"}


def _names(members: list[ClusterMember]) -> str:
    return ",".join(each.name for each in members)
