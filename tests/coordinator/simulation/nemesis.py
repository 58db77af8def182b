"""The faults, and when they happen."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from coordinator.core.cluster.members import encode_peer_urls, is_removed
from coordinator.core.raft import quorum
from coordinator.core.raft.membership import AddLearner, ConfChange, Promote, Remove
from coordinator.core.raft.ready import Role
from tests.coordinator.simulation import flipped_bits
from tests.coordinator.simulation.clients import ClientRequest

if TYPE_CHECKING:
    from tests.coordinator.simulation.machine import Machine
    from tests.coordinator.simulation.simulator import Simulator

SECOND = 1_000_000_000
MEMBERS_MAX = 7
# Each one makes snapshots larger, which a slow link must bring over in the calm time at the end.
FLOODS_MAX = 2
PRESSES, PRESS_EVERY_NS = 30, 20_000_000


class Nemesis:
    """Draws one fault after another."""

    def __init__(self, sim: "Simulator") -> None:
        self.sim = sim
        self.troubles = {
            "crash": self.crash,
            "stop": self.stop,
            "power_cut": self.power_cut,
            "pause": self.pause,
            "one_way": self.one_way,
            "isolate": self.isolate,
            "halves": self.halves,
            "swizzle": self.swizzle,
            "wrong_sign": self.wrong_sign,
            "slow_disk": self.slow_disk,
            "wall_jump": self.wall_jump,
            "damage": self.damage,
            "member_change": self.member_change,
            "hand_over": self.hand_over,
            "coup": self.coup,
            "usurp": self.usurp,
            "rivals": self.rivals,
            "figure_8": self.figure_8,
            "flood": self.flood,
            "amnesia": self.amnesia,
        }
        self._floods_left = FLOODS_MAX
        self._awaited: Callable[[Machine], None] | None = None
        self._next()

    def _next(self) -> None:
        sim = self.sim
        sim.after(sim.some(2 * sim.options.trouble_ns), self._strike)

    def _strike(self) -> None:
        sim = self.sim
        if not sim.faulty:
            return
        weights = sim.options.troubles
        (name,) = sim.rng.choices(list(weights), list(weights.values()))
        self.troubles[name]()
        self._next()

    def elected(self, machine: "Machine") -> None:
        """Sometimes inject a fault at a new leader, when its term has just begun."""
        sim = self.sim
        awaited, self._awaited = self._awaited, None
        if awaited is not None and sim.faulty:
            sim.after(0, lambda: awaited(machine))
        elif sim.faulty and sim.rng.random() < sim.options.strike_leaders:
            blow = sim.rng.choice([self._crash_one, self._isolate_one, self._pause_one])
            sim.after(sim.some(50_000_000), lambda: blow(machine))

    def voted(self, machine: "Machine") -> None:
        """Sometimes inject a fault at a voter, when its vote has just been sent."""
        sim = self.sim
        if sim.faulty and sim.rng.random() < sim.options.strike_voters:
            sim.after(1, lambda: self._blink(machine))

    # Processes.

    def crash(self) -> None:
        self._crash_one(self.sim.some_machine())

    def stop(self) -> None:
        """Let a member end as an operator does, if the others are a majority and stay."""
        machine = self.sim.some_machine()
        others = [m for m in self.sim.machines.values() if m is not machine and m.replica]
        if not any(m.is_stopping for m in others) and len(others) >= quorum.majority(
            self.sim.machines
        ):
            machine.do(machine.stop)

    def power_cut(self) -> None:
        for machine in list(self.sim.machines.values()):
            self._crash_one(machine)

    def pause(self) -> None:
        self._pause_one(self.sim.some_machine())

    def slow_disk(self) -> None:
        machine = self.sim.some_machine()
        machine.slow_until = self.sim.now_ns + self.sim.some(3 * SECOND)

    def wall_jump(self) -> None:
        """Set a wall clock, or let somebody set it wrong."""
        sim = self.sim
        size_ns = sim.rng.choice((2 * SECOND, 600 * SECOND, 86_400 * SECOND))
        sim.some_machine().wall_offset_ns += sim.rng.randrange(-size_ns, size_ns)

    def damage(self) -> None:
        """Flip a bit on a disk: the member is refused and replaced, or it has lost nothing."""
        sim = self.sim
        machine = sim.some_machine()
        if not self._can_spare(machine):
            return
        sim.fell(machine, "ends, and a bit of its disk flips", restarts=False)
        disk = machine.disk
        read = flipped_bits.read_back((disk.state, disk.entries, disk.snapshot), sim.rng)
        if read is None:
            sim.note(f"{machine.me} finds its disk damaged")
            machine.is_gone = True
            self._replace(machine.me)
            return
        same = (disk.state, disk.entries, disk.snapshot)
        assert read == same, f"a flipped bit has changed the disk of {machine.me}"
        machine.start()

    def _crash_one(self, machine: "Machine") -> None:
        if machine.replica is not None and self.sim.faulty:
            self.sim.fell(machine, "crashes")

    def _blink(self, machine: "Machine") -> None:
        if machine.replica is not None and self.sim.faulty:
            self.sim.fell(machine, "crashes for a moment", after_ns=1_000_000)

    def _pause_one(self, machine: "Machine") -> None:
        if machine.replica is not None and not machine.blocked and self.sim.faulty:
            self.sim.note(f"{machine.me} sleeps")
            machine.pause(self.sim.some(3 * SECOND))

    # Links.

    def one_way(self) -> None:
        sim = self.sim
        if len(sim.machines) > 1:
            one, other = sim.rng.sample(sorted(sim.machines), 2)
            self._cut([(one, other)], sim.some(4 * SECOND))

    def isolate(self) -> None:
        self._isolate_one(self.sim.some_machine())

    def halves(self) -> None:
        members = sorted(self.sim.machines)
        some = set(self.sim.rng.sample(members, len(members) // 2))
        self._cut(_pairs(sorted(some), sorted(set(members) - some)), self.sim.some(4 * SECOND))

    def swizzle(self) -> None:
        """Cut links one by one, and heal them in another order."""
        sim = self.sim
        members = sorted(sim.machines)
        for one in members:
            for other in members:
                if one != other and sim.rng.random() < 0.6:
                    cut = [(one, other)]
                    length = sim.some(3 * SECOND)
                    sim.after(sim.some(2 * SECOND), lambda c=cut, n=length: self._cut(c, n))

    def _isolate_one(self, machine: "Machine") -> None:
        others = [each for each in self.sim.machines if each != machine.me]
        self._cut(_pairs([machine.me], others), self.sim.some(4 * SECOND))

    def _cut(self, pairs: list[tuple[int, int]], for_ns: int) -> None:
        network = self.sim.network
        if not self.sim.faulty:
            return
        for pair in pairs:
            network.cut(*pair)
        self.sim.after(for_ns, lambda: [network.heal(*pair) for pair in pairs] and None)

    # Consensus.

    def wrong_sign(self) -> None:
        machine = self.sim.some_machine()
        self._suspect(machine)

    def _suspect(self, machine: "Machine") -> None:
        def suspect() -> None:
            assert machine.replica is not None
            machine.replica.node.election.suspect(machine.replica.node.leader)

        machine.do(suspect)

    def hand_over(self) -> None:
        sim = self.sim
        machine, target = sim.some_machine(), sim.some_machine().me
        cut_off = sim.rng.random() < 0.5

        def transfer() -> None:
            replica = machine.replica
            assert replica is not None
            if replica.node.leader and sim.faulty:
                sim.note(f"{machine.me} is asked to hand leadership to {target}")
                replica.propose(target)
                machine.drive()
                leader = sim.machines.get(replica.node.leader, machine)
                if cut_off:
                    sim.after(300_000, lambda: self._isolate_one(leader))
                    sim.clients.rush(leader)

        machine.do(transfer)

    def coup(self) -> None:
        """Try to get a leader elected while the old one has its lease."""
        sim = self.sim
        leader = sim.leader()
        others = [m for m in sim.machines.values() if m is not leader and m.replica is not None]
        if leader is None or not others:
            return
        rival = sim.rng.choice(others)
        length = SECOND + sim.some(3 * SECOND)
        self._cut([(leader.me, rival.me), (rival.me, leader.me)], length)
        for n in range(6):
            sim.after(n * 200_000_000, lambda: self._suspect(rival))
        when = SECOND // 2 + sim.some(SECOND)
        asleep = sim.rng.random() < 0.4
        if asleep:
            for machine in others:
                if machine is not rival and not machine.blocked and machine.replica is not None:
                    machine.pause(when - 5_000_000)

        def finish() -> None:
            rest = [m for m in others if m is not rival]
            cut = [pair for m in rest for pair in ((leader.me, m.me), (m.me, leader.me))]
            self._cut(cut, SECOND)
            for machine in rest:
                if not asleep and sim.rng.random() < 0.7:
                    self._blink(machine)
                else:
                    self._suspect(machine)
            self._press(rival)
            sim.clients.rush(leader)

        sim.after(when, finish)

    def _press(self, rival: "Machine") -> None:
        """Let a member begin an election as soon as no promise to a leader holds it back."""

        def campaign() -> None:
            assert rival.replica is not None
            election = rival.replica.node.election
            if election.role is Role.FOLLOWER and not election._hears_leader():
                election.campaign()
                rival.drive()

        for n in range(PRESSES):
            self.sim.after(n * PRESS_EVERY_NS, lambda: rival.do(campaign))

    def usurp(self) -> None:
        """Cut off a leader, and let all others believe at once that its process has ended."""
        sim = self.sim
        if (leader := sim.leader()) is not None and leader.replica is not None:
            self._isolate_one(leader)
            self._all_suspect(leader)
            others = [m for m in sim.machines.values() if m is not leader]
            if others:
                self._press(sim.rng.choice(others))
            sim.clients.rush(leader)

    def amnesia(self) -> None:
        """Cut off a leader, and let all others start again: they forget what they promised."""
        sim = self.sim
        leader = sim.leader()
        others = [m for m in sim.machines.values() if m is not leader and m.replica is not None]
        if leader is not None and others:
            self._isolate_one(leader)
            for machine in others:
                self._blink(machine)
            self._press(sim.rng.choice(others))
            sim.clients.rush(leader)

    def flood(self) -> None:
        """Let much be written at a follower while its leader cannot be reached."""
        sim = self.sim
        self._floods_left -= 1
        if self._floods_left < 0:
            return
        leader, machine = sim.leader(), sim.some_machine()
        if leader is not None and machine is not leader:
            self._isolate_one(leader)
            self._all_suspect(leader)
        sim.clients.flood(machine)

    def rivals(self) -> None:
        """Let a leader that is cut off begin a change of members, and its successor another.

        The quorums of two such changes need not share a member. (The thesis' erratum)
        """
        sim = self.sim
        leader = sim.leader()
        if leader is None or leader.replica is None or sim.network.cuts:
            return
        voters = sorted(leader.replica.node.configuration.voters - {leader.me})
        if len(voters) != 3 or not sim.machines.keys() >= set(voters):
            return
        outcast, waverer = sim.rng.sample(voters, 2)
        self._cut(_pairs([leader.me], voters), 8 * SECOND)
        self._change(leader, Remove(outcast))
        self._all_suspect(leader)

        def succeed(successor: "Machine") -> None:
            others = set(voters) - {waverer}
            if successor.me not in others or not others <= sim.machines.keys():
                return  # another trouble has added or removed a member meanwhile
            self._cut(_pairs([waverer], [m for m in sim.machines if m != waverer]), 6 * SECOND)
            (follower,) = others - {successor.me}
            self._change(sim.machines[follower], Remove(leader.me))
            sim.clients.rush(successor)
            sim.after(SECOND, lambda: self._heal(leader.me, waverer))

        self._awaited = succeed

    def figure_8(self) -> None:
        """Let an entry of an old term reach a majority, and let its leader fail right then.

        (Raft, figure 8, on three members)
        """
        sim = self.sim
        leader = sim.leader()
        if leader is None or len(sim.machines) != 3 or sim.network.cuts:
            return
        others = [m for m in sim.machines if m != leader.me]
        self._cut(_pairs([leader.me], others), 9 * SECOND)
        sim.clients.rush(leader)
        sim.after(SECOND // 2, lambda: self._all_suspect(leader))

        def succeed(successor: "Machine") -> None:
            rest = sim.machines.keys() - {leader.me, successor.me}
            if len(rest) != 1:
                return  # another trouble has added or replaced a member meanwhile
            (third,) = rest
            self._cut(_pairs([successor.me], [third]), 9 * SECOND)
            self._heal(leader.me, third)

            def part() -> None:
                self._cut(_pairs([leader.me], [third]), 9 * SECOND)
                self._heal(successor.me, third)

            def fall(again: "Machine") -> None:
                if again is leader:
                    sim.after(sim.some(12 * sim.options.delay_ns), part)

            self._awaited = fall

        self._awaited = succeed

    def _all_suspect(self, leader: "Machine") -> None:
        for machine in self.sim.machines.values():
            if machine is not leader:
                self._suspect(machine)

    def _heal(self, one: int, other: int) -> None:
        self.sim.network.heal(one, other)
        self.sim.network.heal(other, one)

    # Members.

    def member_change(self) -> None:
        sim = self.sim
        machine = sim.some_machine()
        if machine.replica is None or sim.replacing:
            return
        configuration = machine.replica.node.configuration
        changes: list[ConfChange] = [Promote(each) for each in sorted(configuration.learners)]
        if len(configuration.members) < MEMBERS_MAX:
            changes.append(self._newcomer())
        if len(configuration.voters) > 1:
            changes.append(Remove(sim.rng.choice(sorted(configuration.members))))
        self._change(machine, sim.rng.choice(changes))

    def _newcomer(self) -> AddLearner:
        member = self.sim.next_member
        return AddLearner(member, encode_peer_urls((f"http://{member}",)))

    def _change(self, machine: "Machine", change: ConfChange) -> None:
        sim = self.sim
        sim.changed_ns = sim.now_ns
        sim.note(f"{machine.me} is asked for {type(change).__name__} {change.member}")
        if isinstance(change, AddLearner):
            sim.join(change.member)
        machine.do(lambda: sim.clients.put(machine, ClientRequest(None, change=change)))

    def _can_spare(self, machine: "Machine") -> bool:
        """Return whether the cluster can lose this disk, even with the changes in flight."""
        sim = self.sim
        running = [m.replica for m in sim.machines.values() if m.replica is not None]
        if sim.replacing or len(running) < len(sim.machines) or machine.replica is None:
            return False
        configurations = {replica.node.configuration for replica in running}
        settled = all(
            replica.node.configurations.changed_at <= replica.node.log.applied
            for replica in running
        )
        if len(configurations) > 1 or not settled or sim.now_ns < sim.changed_ns + 6 * SECOND:
            return False
        voters = next(iter(configurations)).voters
        left = len(voters - {machine.me})
        return left >= quorum.majority(voters) and left > 1

    def _replace(self, lost: int) -> None:
        """Ask for its removal until it is removed, then for a new member."""
        sim = self.sim
        sim.replacing = lost
        machine = sim.some_machine()
        replica = machine.replica
        is_out = replica is not None and lost not in replica.node.configuration.members
        if replica is not None and is_out and is_removed(replica.keyspace.notes, lost):
            sim.replacing = 0
            sim.machines.pop(lost)
            self._change(machine, self._newcomer())
            return
        if replica is not None:
            self._change(machine, Remove(lost))
        sim.after(SECOND, lambda: self._replace(lost))


def _pairs(some: Iterable[int], others: Iterable[int]) -> list[tuple[int, int]]:
    """Return the links between them, both ways."""
    there = [(one, other) for one in some for other in others]
    return there + [(other, one) for one, other in there]
