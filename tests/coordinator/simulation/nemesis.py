"""The faults, and when they happen."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from coordinator.core.cluster.members import encode_peer_urls, is_removed
from coordinator.core.raft import quorum
from coordinator.core.raft.membership import AddLearner, ConfChange, Promote, Remove
from tests.coordinator.simulation.clients import ClientRequest

if TYPE_CHECKING:
    from tests.coordinator.simulation.machine import Machine
    from tests.coordinator.simulation.world import World

SECOND = 1_000_000_000
MEMBERS_MAX = 7


class Nemesis:
    """Draws one fault after another."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.troubles = {
            "crash": self.crash,
            "power_cut": self.power_cut,
            "pause": self.pause,
            "one_way": self.one_way,
            "isolate": self.isolate,
            "halves": self.halves,
            "swizzle": self.swizzle,
            "wrong_sign": self.wrong_sign,
            "slow_disk": self.slow_disk,
            "damage": self.damage,
            "member_change": self.member_change,
            "hand_over": self.hand_over,
            "coup": self.coup,
            "usurp": self.usurp,
            "rivals": self.rivals,
            "figure_8": self.figure_8,
        }
        self._awaited: Callable[[Machine], None] | None = None
        self._next()

    def _next(self) -> None:
        world = self.world
        world.after(world.some(2 * world.options.trouble_ns), self._strike)

    def _strike(self) -> None:
        world = self.world
        if not world.faulty:
            return
        weights = world.options.troubles
        (name,) = world.rng.choices(list(weights), list(weights.values()))
        self.troubles[name]()
        self._next()

    def elected(self, machine: "Machine") -> None:
        """Sometimes harm a new leader, when its term has just begun."""
        world = self.world
        awaited, self._awaited = self._awaited, None
        if awaited is not None and world.faulty:
            world.after(0, lambda: awaited(machine))
        elif world.faulty and world.rng.random() < world.options.strike_leaders:
            blow = world.rng.choice([self._crash_one, self._isolate_one, self._pause_one])
            world.after(world.some(50_000_000), lambda: blow(machine))

    def voted(self, machine: "Machine") -> None:
        """Sometimes harm a voter, when its vote has just left."""
        world = self.world
        if world.faulty and world.rng.random() < world.options.strike_voters:
            world.after(1, lambda: self._blink(machine))

    # Processes.

    def crash(self) -> None:
        self._crash_one(self.world.some_machine())

    def power_cut(self) -> None:
        for machine in list(self.world.machines.values()):
            self._crash_one(machine)

    def pause(self) -> None:
        self._pause_one(self.world.some_machine())

    def slow_disk(self) -> None:
        machine = self.world.some_machine()
        machine.slow_until = self.world.now_ns + self.world.some(3 * SECOND)

    def damage(self) -> None:
        """Flip a bit on a disk: the member refuses to start, and is replaced."""
        world = self.world
        machine = world.some_machine()
        if not self._can_spare(machine):
            return
        world.fell(machine, "finds its log damaged", restarts=False)
        machine.is_gone = True
        self._replace(machine.me)

    def _crash_one(self, machine: "Machine") -> None:
        if machine.replica is not None and self.world.faulty:
            self.world.fell(machine, "crashes")

    def _blink(self, machine: "Machine") -> None:
        if machine.replica is not None and self.world.faulty:
            self.world.fell(machine, "crashes for a moment", after_ns=1_000_000)

    def _pause_one(self, machine: "Machine") -> None:
        if machine.replica is not None and not machine.blocked and self.world.faulty:
            self.world.note(f"{machine.me} sleeps")
            machine.pause(self.world.some(3 * SECOND))

    # Links.

    def one_way(self) -> None:
        world = self.world
        if len(world.machines) > 1:
            one, other = world.rng.sample(sorted(world.machines), 2)
            self._cut([(one, other)], world.some(4 * SECOND))

    def isolate(self) -> None:
        self._isolate_one(self.world.some_machine())

    def halves(self) -> None:
        members = sorted(self.world.machines)
        some = set(self.world.rng.sample(members, len(members) // 2))
        self._cut(_pairs(sorted(some), sorted(set(members) - some)), self.world.some(4 * SECOND))

    def swizzle(self) -> None:
        """Cut links one by one, and heal them in another order."""
        world = self.world
        members = sorted(world.machines)
        for one in members:
            for other in members:
                if one != other and world.rng.random() < 0.6:
                    cut = [(one, other)]
                    length = world.some(3 * SECOND)
                    world.after(world.some(2 * SECOND), lambda c=cut, n=length: self._cut(c, n))

    def _isolate_one(self, machine: "Machine") -> None:
        others = [each for each in self.world.machines if each != machine.me]
        self._cut(_pairs([machine.me], others), self.world.some(4 * SECOND))

    def _cut(self, pairs: list[tuple[int, int]], for_ns: int) -> None:
        network = self.world.network
        if not self.world.faulty:
            return
        for pair in pairs:
            network.cut(*pair)
        self.world.after(for_ns, lambda: [network.heal(*pair) for pair in pairs] and None)

    # Consensus.

    def wrong_sign(self) -> None:
        machine = self.world.some_machine()
        self._suspect(machine)

    def _suspect(self, machine: "Machine") -> None:
        def suspect() -> None:
            assert machine.replica is not None
            machine.replica.node.election.suspect(machine.replica.node.leader)

        machine.do(suspect)

    def hand_over(self) -> None:
        world = self.world
        machine, target = world.some_machine(), world.some_machine().me
        cut_off = world.rng.random() < 0.5

        def transfer() -> None:
            replica = machine.replica
            assert replica is not None
            if replica.node.leader and world.faulty:
                world.note(f"{machine.me} is asked to hand leadership to {target}")
                replica.propose(target)
                machine.drive()
                leader = world.machines.get(replica.node.leader, machine)
                if cut_off:
                    world.after(300_000, lambda: self._isolate_one(leader))
                    world.clients.rush(leader)

        machine.do(transfer)

    def coup(self) -> None:
        """Try to get a leader elected while the old one has its lease."""
        world = self.world
        leader = world.leader()
        others = [m for m in world.machines.values() if m is not leader and m.replica is not None]
        if leader is None or not others:
            return
        rival = world.rng.choice(others)
        length = SECOND + world.some(3 * SECOND)
        self._cut([(leader.me, rival.me), (rival.me, leader.me)], length)
        for n in range(6):
            world.after(n * 200_000_000, lambda: self._suspect(rival))
        when = SECOND // 2 + world.some(SECOND)
        asleep = world.rng.random() < 0.4
        if asleep:
            for machine in others:
                if machine is not rival and not machine.blocked and machine.replica is not None:
                    machine.pause(when - 5_000_000)

        def finish() -> None:
            rest = [m for m in others if m is not rival]
            cut = [pair for m in rest for pair in ((leader.me, m.me), (m.me, leader.me))]
            self._cut(cut, SECOND)
            for machine in rest:
                if not asleep and world.rng.random() < 0.7:
                    self._blink(machine)
                else:
                    self._suspect(machine)
            world.clients.rush(leader)

        world.after(when, finish)

    def usurp(self) -> None:
        """Cut a leader off, and let all others believe at once that its process has ended."""
        world = self.world
        if (leader := world.leader()) is not None and leader.replica is not None:
            self._isolate_one(leader)
            self._all_suspect(leader)
            world.clients.rush(leader)

    def rivals(self) -> None:
        """Let a leader that is cut off begin a change of members, and its successor another.

        The quorums of two such changes need not share a member. (The thesis' erratum)
        """
        world = self.world
        leader = world.leader()
        if leader is None or leader.replica is None or world.network.cuts:
            return
        voters = sorted(leader.replica.node.configuration.voters - {leader.me})
        if len(voters) != 3 or not world.machines.keys() >= set(voters):
            return
        outcast, waverer = world.rng.sample(voters, 2)
        self._cut(_pairs([leader.me], voters), 8 * SECOND)
        self._change(leader, Remove(outcast))
        self._all_suspect(leader)

        def succeed(successor: "Machine") -> None:
            if successor.me in {leader.me, waverer}:
                return
            self._cut(_pairs([waverer], [m for m in world.machines if m != waverer]), 6 * SECOND)
            (follower,) = set(voters) - {successor.me, waverer}
            self._change(world.machines[follower], Remove(leader.me))
            world.clients.rush(successor)
            world.after(SECOND, lambda: self._heal(leader.me, waverer))

        self._awaited = succeed

    def figure_8(self) -> None:
        """Let an entry of an old term get its majority, and its leader fall right then.

        (Raft, figure 8, on three members)
        """
        world = self.world
        leader = world.leader()
        if leader is None or len(world.machines) != 3 or world.network.cuts:
            return
        others = [m for m in world.machines if m != leader.me]
        self._cut(_pairs([leader.me], others), 9 * SECOND)
        world.clients.rush(leader)
        world.after(SECOND // 2, lambda: self._all_suspect(leader))

        def succeed(successor: "Machine") -> None:
            rest = world.machines.keys() - {leader.me, successor.me}
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
                    world.after(world.some(12 * world.options.delay_ns), part)

            self._awaited = fall

        self._awaited = succeed

    def _all_suspect(self, leader: "Machine") -> None:
        for machine in self.world.machines.values():
            if machine is not leader:
                self._suspect(machine)

    def _heal(self, one: int, other: int) -> None:
        self.world.network.heal(one, other)
        self.world.network.heal(other, one)

    # Members.

    def member_change(self) -> None:
        world = self.world
        machine = world.some_machine()
        if machine.replica is None or world.replacing:
            return
        configuration = machine.replica.node.configuration
        changes: list[ConfChange] = [Promote(each) for each in sorted(configuration.learners)]
        if len(configuration.members) < MEMBERS_MAX:
            changes.append(self._newcomer())
        if len(configuration.voters) > 1:
            changes.append(Remove(world.rng.choice(sorted(configuration.members))))
        self._change(machine, world.rng.choice(changes))

    def _newcomer(self) -> AddLearner:
        member = self.world.next_member
        return AddLearner(member, encode_peer_urls((f"http://{member}",)))

    def _change(self, machine: "Machine", change: ConfChange) -> None:
        world = self.world
        world.changed_ns = world.now_ns
        world.note(f"{machine.me} is asked for {type(change).__name__} {change.member}")
        if isinstance(change, AddLearner):
            world.join(change.member)
        machine.do(lambda: world.clients.put(machine, ClientRequest(None, change=change)))

    def _can_spare(self, machine: "Machine") -> bool:
        """Return whether the cluster can lose this disk, whatever is on its way now."""
        world = self.world
        running = [m.replica for m in world.machines.values() if m.replica is not None]
        if world.replacing or len(running) < len(world.machines) or machine.replica is None:
            return False
        configurations = {replica.node.configuration for replica in running}
        settled = all(
            replica.node.configurations.changed_at <= replica.node.log.applied
            for replica in running
        )
        if len(configurations) > 1 or not settled or world.now_ns < world.changed_ns + 6 * SECOND:
            return False
        voters = next(iter(configurations)).voters
        left = len(voters - {machine.me})
        return left >= quorum.majority(voters) and left > 1

    def _replace(self, lost: int) -> None:
        """Ask for its removal until that has happened, then for a new member."""
        world = self.world
        world.replacing = lost
        machine = world.some_machine()
        replica = machine.replica
        is_out = replica is not None and lost not in replica.node.configuration.members
        if replica is not None and is_out and is_removed(replica.keyspace.notes, lost):
            world.replacing = 0
            world.machines.pop(lost)
            self._change(machine, self._newcomer())
            return
        if replica is not None:
            self._change(machine, Remove(lost))
        world.after(SECOND, lambda: self._replace(lost))


def _pairs(some: Iterable[int], others: Iterable[int]) -> list[tuple[int, int]]:
    """Return the links between them, both ways."""
    there = [(one, other) for one in some for other in others]
    return there + [(other, one) for one, other in there]
