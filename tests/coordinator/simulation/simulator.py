"""A seeded simulation of members that run the production `Driver`, and of everything that can fail.

The simulator has the true time; every member has its own clock, which is too fast or too slow. The
same seed gives the same simulation, event for event. A failure prints its seed and the last lines.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable

from coordinator.core.cluster import members
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft import describe, membership
from coordinator.core.raft.membership import AddFounder
from coordinator.core.store.commands import Put
from tests.coordinator.simulation.clients import ClientRequest, Clients
from tests.coordinator.simulation.invariants import Invariants
from tests.coordinator.simulation.machine import Machine, SimDisk
from tests.coordinator.simulation.nemesis import Nemesis
from tests.coordinator.simulation.network import SimNetwork
from tests.coordinator.simulation.options import SimulatorOptions, bounds, drawn

LINES_KEPT = 50
SECOND = 1_000_000_000
# The time to converge without faults: elections, a snapshot and promoted learners take seconds.
CALM_S_MAX = 30


class Simulator:
    """Members, their machines and links, their clients, and the invariants."""

    def __init__(self, seed: int, options: SimulatorOptions | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.options = options or drawn(self.rng)
        self.now_ns = 0
        self.faulty = True
        self.lines: deque[tuple[int, str | PeerMessage]] = deque(maxlen=LINES_KEPT)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._made = 0
        founders = range(1, self.options.members + 1)
        entries = [
            membership.encode(AddFounder(each, members.encode_peer_urls((f"http://{each}",))))
            for each in founders
        ]
        self.invariants = Invariants(self)
        self.machines = {each: Machine(self, each, SimDisk.founded(entries)) for each in founders}
        self.members = list(self.machines.values())
        self.next_member = self.options.members + 1
        self.replacing = 0
        self.changed_ns = 0
        self.network = SimNetwork(self)
        self.nemesis = Nemesis(self)
        self.clients = Clients(self)
        for machine in self.machines.values():
            machine.start()

    # What its parts need.

    def at(self, when_ns: int, what: Callable[[], None]) -> None:
        """Schedule a call at a true time."""
        self._made += 1
        heapq.heappush(self._events, (when_ns, self._made, what))

    def after(self, delay_ns: int, what: Callable[[], None]) -> None:
        """Schedule a call after a delay."""
        self.at(self.now_ns + delay_ns, what)

    def some(self, most_ns: int) -> int:
        """Return a time up to `most_ns`, more often a short one."""
        return int(most_ns * self.rng.random() ** 2) + 1

    def some_machine(self) -> Machine:
        """Return any machine, more often the leader's than by chance."""
        if self.rng.random() < 0.3 and (leader := self.leader()) is not None:
            return leader
        return self.rng.choice(list(self.machines.values()))

    def leader(self) -> Machine | None:
        """Return the machine of the leader with the highest term."""
        leaders = [
            m
            for m in self.machines.values()
            if m.replica is not None and m.replica.node.leading is not None
        ]
        return max(leaders, key=lambda m: m.replica.node.term if m.replica else 0, default=None)

    def fell(
        self,
        machine: Machine,
        how: str,
        *,
        restarts: bool = True,
        after_ns: int = 0,
        seen: float = 0.7,
    ) -> None:
        """End a process, let others notice it, and start it again after a while."""
        machine.crash(how)
        for other in self.machines.values():
            if (machine.me, other.me) not in self.network.cuts and self.rng.random() < seen:
                self.after(self.some(50_000_000), lambda o=other: _sees_end(o, machine.me))
        if restarts:
            life = machine.lives
            self.after(after_ns or self.some(3 * SECOND), lambda: self._restart(machine, life))

    def dismiss(self, machine: Machine) -> None:
        """End a removed member forever."""
        machine.crash("was removed and ends")
        machine.is_gone = True
        if machine.me != self.replacing:
            self.machines.pop(machine.me, None)

    def join(self, member: int) -> None:
        """Start the process of a member that is being added."""
        self.changed_ns = self.now_ns
        self.next_member = member + 1
        machine = self.machines[member] = Machine(self, member, SimDisk())
        machine.start()

    def note(self, line: str) -> None:
        """Record an event for the report of a failure."""
        self.lines.append((self.now_ns, line))

    def say(self, message: PeerMessage) -> None:
        """Record a message for the report of a failure."""
        self.lines.append((self.now_ns, message))

    # How it goes.

    def run(self, seconds: float) -> None:
        """Let time pass; a failure names the seed and shows the last events."""
        end = self.now_ns + int(seconds * SECOND)
        with bounds(self.options):
            try:
                while self._events[0][0] <= end:
                    self.now_ns, _, what = heapq.heappop(self._events)
                    what()
            except Exception as failure:
                raise AssertionError(
                    self._report(f"{type(failure).__name__}: {failure}")
                ) from failure
        self.now_ns = end

    def converge(self) -> None:
        """Without faults the cluster must serve at every member, and all must agree."""
        with bounds(self.options):
            self._converge()

    def _converge(self) -> None:
        self.note("all faults are gone")
        self.faulty = self.clients.active = False
        self.network.cuts.clear()
        for machine in list(self.machines.values()):
            machine.slow_until = 0
            if machine.replica is None:
                self._restart(machine, machine.lives)
        for _ in range(2 * CALM_S_MAX):
            self.run(0.5)
            if self._is_calm():
                if all(map(self._serves, self.members)):
                    break
                self._probe()
        else:
            raise AssertionError(self._report("no convergence"))
        try:
            self.clients.judge()
        except AssertionError as failure:
            raise AssertionError(self._report(str(failure))) from failure

    def _probe(self) -> None:
        for machine in self.members:
            ask = ClientRequest(None, command=Put(b"/probe/%d" % machine.me))
            machine.do(lambda m=machine, a=ask: self.clients.put(m, a))

    def _serves(self, machine: Machine) -> bool:
        """Return whether it has the writes of every member since the end of the faults."""
        assert machine.replica is not None
        nodes = machine.replica.keyspace.tree.nodes
        return all(b"/probe/%d" % member.me in nodes for member in self.members)

    def _is_calm(self) -> bool:
        leader = self.leader()
        if leader is None or leader.replica is None or self.replacing:
            return False
        configuration = leader.replica.node.configuration
        if configuration.learners or not configuration.members <= self.machines.keys():
            return False
        self.members = [self.machines[member] for member in sorted(configuration.members)]
        return all(
            (replica := machine.replica) is not None
            and replica.availability.without_leader_s() == 0
            and replica.node.log.applied == leader.replica.node.log.applied
            and replica.keyspace.digest == leader.replica.keyspace.digest
            for machine in self.members
        )

    def _restart(self, machine: Machine, life: int) -> None:
        if machine.replica is None and not machine.is_gone and machine.lives == life:
            machine.start()

    def _report(self, failure: str) -> str:
        lines = [
            f"{when / 1e9:9.4f} {line if isinstance(line, str) else describe.message(line)}"
            for when, line in self.lines
        ]
        states = [
            describe.member(m.replica.node) if m.replica else f"{m.me} down"
            for m in self.machines.values()
        ]
        return "\n".join([*lines, *states, str(self.options), f"SEED={self.seed}: {failure}"])


def _sees_end(machine: Machine, ended: int) -> None:
    def look() -> None:
        assert machine.replica is not None
        machine.replica.node.election.suspect(ended)
        machine.lost(ended)

    machine.do(look)
