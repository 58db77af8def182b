"""A seeded world of members: a network and disks that fail, and what must hold whatever they do.

Every member runs the production `Node`. After each step the properties of figure 3 of the Raft
paper are checked; a failure prints the seed and the last lines.
"""

import random
from collections import deque
from dataclasses import dataclass, field, fields

import msgspec

from coordinator.raft.log import Log
from coordinator.raft.membership import (
    AddLearner,
    Change,
    ChangeRefused,
    Configuration,
    Promote,
    Remove,
)
from coordinator.raft.messages import AnyMessage, decode, encode
from coordinator.raft.node import Node
from coordinator.raft.roles import NotLeading, Ready, Role
from coordinator.raft.snapshots import Image
from coordinator.raft.types import Entry, HardState

LINES_KEPT = 50


@dataclass
class Faults:
    """How likely each thing is in one step."""

    drop: float = 0.05
    duplicate: float = 0.03
    reorder: float = 0.2
    crash: float = 0.004
    crash_in_save: float = 0.01
    restart: float = 0.05
    cut: float = 0.004
    heal: float = 0.02
    propose: float = 0.3
    read: float = 0.1
    change: float = 0.01
    transfer: float = 0.004
    compact: float = 0.02
    slow_save: float = 0.2


def drawn(rng: random.Random) -> Faults:
    """Return a world's own mix: some things never happen in it, some much oftener."""
    usual = Faults()
    return Faults(
        **{
            part.name: min(0.5, getattr(usual, part.name) * rng.choice([0, 0.3, 1, 3, 8]))
            for part in fields(Faults)
            if part.name not in {"restart", "heal"}
        }
    )


CALM = Faults(0, 0, 0, 0, 0, 0.2, 0, 1, 0.3, 0.1, 0, 0, 0.02, 0)


@dataclass
class Disk:
    """What survives a crash."""

    image: Image
    entries: list[Entry] = field(default_factory=list)
    state: HardState = field(default_factory=HardState)

    def save(self, ready: Ready, entries: int | None = None) -> None:
        """Write what a member asked for; a crash leaves only the first `entries` of it."""
        if ready.image is not None:
            self.image, self.entries = ready.image, []
        for entry in ready.entries[:entries]:
            place = entry.index - self.image.index - 1
            self.entries[place:] = [entry]
        if entries is None and ready.state is not None:
            self.state = ready.state

    def log(self) -> Log:
        return Log(self.image.index, self.image.term, self.entries)


class Member:
    """One process: a node while it runs, its disk always."""

    def __init__(self, me: int, configuration: Configuration) -> None:
        self.me = me
        empty = msgspec.msgpack.encode([])
        self.disk = Disk(Image(0, 0, configuration, empty).sealed())
        self.node: Node | None = None
        self.applied: list[bytes] = []
        self.saving: Ready | None = None

    def start(self, rng: random.Random) -> None:
        disk = self.disk
        self.node = Node(
            self.me, disk.image.configuration, disk.log(), disk.state, dice=rng.randrange
        )
        self.applied = msgspec.msgpack.decode(disk.image.data, type=list[bytes])
        self.saving = None


class World:
    """Members, the messages between them, and what was promised to clients."""

    def __init__(self, seed: int, members: int, faults: Faults | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.faults = faults or drawn(self.rng)
        configuration = Configuration(frozenset(range(1, members + 1)))
        self.members = {me: Member(me, configuration) for me in configuration.voters}
        for member in self.members.values():
            member.start(self.rng)
        self.wire: list[AnyMessage] = []
        self.cuts: set[tuple[int, int]] = set()
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.leaders: dict[int, int] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.reads: dict[int, int] = {}
        self.reads_done = 0
        self.proposed = 0

    @property
    def highest(self) -> int:
        """The last index that any member has applied: a client may know of it."""
        return max(self.committed, default=0)

    def step(self) -> None:
        """Let one thing happen, then look at everything."""
        rng, faults = self.rng, self.faults
        running = [m for m in self.members.values() if m.node is not None]
        happens = rng.random
        if running and (member := rng.choice(running)) and member.node is not None:
            if happens() < 0.4:
                member.node.tick()
            self._ask(member, member.node)
            if happens() < faults.crash:
                self._crash(member, "crash")
        self._network()
        for member in self.members.values():
            if member.node is None and happens() < faults.restart:
                self._note(f"{member.me} restarts")
                member.start(rng)
            if member.node is not None:
                self._settle(member)
        self._check()

    def _ask(self, member: Member, node: Node) -> None:
        rng, faults = self.rng, self.faults
        try:
            if rng.random() < faults.propose:
                self.proposed += 1
                node.propose([b"%d" % self.proposed])
            if rng.random() < faults.read:
                context = len(self.reads) + self.reads_done + 1
                node.read(context)
                self.reads[context] = self.highest
            if rng.random() < faults.change:
                change = self._some_change(node)
                node.change(change)
                self._note(f"{member.me} proposes {change}")
            if rng.random() < faults.transfer:
                node.transfer(rng.choice(sorted(node.configuration.voters)))
        except (NotLeading, ChangeRefused):
            pass
        idle = member.saving is None
        if idle and node.applied > node.log.base and rng.random() < faults.compact:
            self._compact(member, node)

    def _some_change(self, node: Node) -> Change:
        configuration = node.configuration
        kinds: list[Change] = [Promote(m) for m in configuration.learners]
        kinds += [AddLearner(m) for m in self.members.keys() - configuration.members]
        if len(configuration.voters) > 2:
            kinds += [Remove(m) for m in configuration.members]
        kinds.sort(key=repr)
        return self.rng.choice(kinds or [Promote(0)])

    def _compact(self, member: Member, node: Node) -> None:
        image = self._image(member, node)
        member.disk.image = image
        member.disk.entries = [e for e in member.disk.entries if e.index > image.index]
        node.compact(image.index)

    def _image(self, member: Member, node: Node) -> Image:
        term = node.log.term(node.applied)
        assert term is not None
        configuration = node.configuration_at(node.applied)
        data = msgspec.msgpack.encode(member.applied)
        return Image(node.applied, term, configuration, data).sealed()

    def _settle(self, member: Member) -> None:
        """Do what a node says, as its shell would."""
        node = member.node
        assert node is not None
        ready = member.saving
        if ready is None:
            ready = node.ready()
            self.wire += ready.first
            if self.rng.random() < self.faults.slow_save:
                member.saving = ready
                return
        member.saving = None
        if (ready.entries or ready.state) and self.rng.random() < self.faults.crash_in_save:
            member.disk.save(ready, self.rng.randint(0, len(ready.entries)))
            self._crash(member, "crash in the middle of a save")
            return
        member.disk.save(ready)
        if ready.image is not None:
            member.applied = msgspec.msgpack.decode(ready.image.data, type=list[bytes])
            self._note(f"{member.me} installs the snapshot at {ready.image.index}")
        self.wire += ready.after
        node.saved(ready)
        for entry in node.to_apply():
            self._apply(member, entry)
            node.applied = entry.index
        for context, index in ready.reads:
            asked_at = self.reads.pop(context, None)
            if asked_at is not None:
                self.reads_done += 1
                assert index >= asked_at, f"a stale read: {index} < {asked_at}"
        if node.leading is not None and node.leading.wants_image:
            node.leading.offer(self._image(member, node))

    def _apply(self, member: Member, entry: Entry) -> None:
        known = self.committed.setdefault(entry.index, (entry.term, entry.data))
        assert known == (entry.term, entry.data), f"index {entry.index} was committed twice"
        member.applied.append(entry.data)

    def _crash(self, member: Member, how: str) -> None:
        self._note(f"{member.me} {how}")
        member.node = None

    def _network(self) -> None:
        rng, faults = self.rng, self.faults
        if rng.random() < faults.cut:
            pair = tuple(rng.sample(sorted(self.members), 2))
            self.cuts.add((pair[0], pair[1]))
            self._note(f"cut {pair[0]}→{pair[1]}")
        if self.cuts and rng.random() < faults.heal:
            self.cuts.clear()
            self._note("heal")
        for _ in range(min(len(self.wire), 1 + rng.randrange(4))):
            late = rng.random() < faults.reorder
            message = self.wire.pop(rng.randrange(len(self.wire)) if late else 0)
            if rng.random() < faults.duplicate:
                self.wire.append(message)
            self._deliver(message)
        del self.wire[2000:]

    def _deliver(self, message: AnyMessage) -> None:
        if (message.sender, message.receiver) in self.cuts:
            return
        if self.rng.random() < self.faults.drop:
            return
        node = self.members[message.receiver].node
        if node is not None:
            self._note(f"{message}")
            node.step(decode(encode(message)))

    def _check(self) -> None:
        """Election safety, and that every member has applied a prefix of what is committed."""
        for member in self.members.values():
            node = member.node
            if node is None:
                continue
            if node.role is Role.LEADER:
                leader = self.leaders.setdefault(node.term, member.me)
                assert leader == member.me, f"two leaders in term {node.term}"
            installing = member.saving is not None or node._following.image is not None
            assert installing or len(member.applied) == node.applied

    def run(self, steps: int) -> None:
        """Take steps; a failure names the seed and what came before."""
        try:
            for _ in range(steps):
                self.step()
        except AssertionError as failure:
            raise AssertionError(
                "\n".join([*self.lines, f"SEED={self.seed}: {failure}"])
            ) from failure

    def converge(self, steps: int) -> None:
        """With all faults gone the cluster must commit, and all its members agree."""
        self.faults = CALM
        self.cuts.clear()
        target = self.highest + 5
        for _ in range(steps):
            self.run(1)
            if self._agreed(target):
                return
        raise AssertionError("\n".join([*self.lines, f"SEED={self.seed}: no progress"]))

    def _agreed(self, target: int) -> bool:
        nodes = [m.node for m in self.members.values() if m.node is not None]
        leaders = [node for node in nodes if node.role is Role.LEADER]
        if not leaders or len(nodes) < len(self.members):
            return False
        members = max(leaders, key=lambda node: node.term).configuration.members
        return all(node.applied >= target for node in nodes if node.me in members)

    def _note(self, line: str) -> None:
        self.lines.append(line)
