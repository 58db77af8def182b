"""The invariants after every step, and the state to check them.

1. One leader per term, and it has all entries that were committed before. (Raft 5.2, 5.4)
2. Two logs with the same entry are the same up to it; a committed entry never changes. (5.3)
3. Members that have applied the same entry are in the same state.
4. An index of the store is the same event at every member, a write has one index, and every event
   that a client received is there.
5. No key ends before its time by the fastest clock that is allowed. The time that is shown for its
   end is right by the wall clock of the member that shows it.
6. When members do nothing but stop and start, leadership moves only from one that stops, and that
   one ends when another leads.
7. A chunk of a snapshot is not sent again while it may be on its way.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.messages import InstallSnapshot
from coordinator.core.raft.ready import Ready
from coordinator.core.replica.corruption_check import HASHES_MAX
from coordinator.core.replica.pending import Outcome
from coordinator.core.store.event import KeyEvent
from tests.coordinator.simulation.linearizability import MISSING

if TYPE_CHECKING:
    from tests.coordinator.simulation.machine import Machine
    from tests.coordinator.simulation.simulator import Simulator

Happening = tuple[str, bytes, bytes, bytes]
TAKE_EVENTS = 1000
SECOND = 1_000_000_000
# What a member leaves as it is, and what a double cannot hold of a time.
SHOWN_SLACK_NS = SECOND + 1_000_000


class ShownNode(msgspec.Struct):
    """What a client reads of a key with a TTL."""

    expiration: datetime


def happening(event: KeyEvent) -> Happening:
    """Return the content of an event: action, key, the new value and the previous one."""
    now, before = event.node, event.prev
    after = MISSING if now is None else now.value or b""
    return event.action, event.key, after, MISSING if before is None else before.value or b""


class Invariants:
    """The history of all members, and its checks."""

    def __init__(self, sim: "Simulator") -> None:
        self.sim = sim
        self.top = 0
        self.leader_stops = 0
        self.events: dict[int, Happening] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.leaders: dict[int, int] = {}
        self.ends_after: dict[bytes, int] = {}  # the earliest true time that a key may end
        self._chunks: dict[tuple[int, int], tuple[tuple[int, int, int], int]] = {}
        self._entries: dict[tuple[int, int], tuple[int | None, bytes]] = {}
        self._digests: dict[int, int] = {}
        self._written: dict[bytes, int] = {}

    def saved(self, machine: "Machine", ready: Ready) -> None:
        """Check entries that were saved to a disk."""
        assert machine.replica is not None
        log = machine.replica.node.log
        for entry in ready.entries:
            here = (log.term(entry.index - 1), entry.data)
            known = self._entries.setdefault((entry.index, entry.term), here)
            assert known[1] == here[1], f"two entries {entry.index} of term {entry.term}"
            assert None in {known[0], here[0]} or known[0] == here[0], (
                f"logs agree at {entry.index} and differ before it"
            )

    def shows_expiries(self, machine: "Machine") -> None:
        """Check the time that a member shows for the end of its first key with a TTL."""
        assert machine.replica is not None
        keyspace, at = machine.replica.keyspace, machine.replica.clock.moment()
        first = keyspace.tree.ttls.first()
        if first is None:
            return
        shown = msgspec.json.decode(keyspace.find(first[1]).json(at), type=ShownNode)
        ends_ns = machine.wall_ns() + first[0] - at.now_ns
        wrong_ns = abs(ends_ns - shown.expiration.timestamp() * SECOND)
        assert wrong_ns < SHOWN_SLACK_NS, f"{first[1]!r} is shown with {shown.expiration}"

    def sent(self, machine: "Machine", messages: Sequence[PeerMessage]) -> None:
        """Check messages that leave a member."""
        now_ns = self.sim.now_ns
        for message in messages:
            if isinstance(message, InstallSnapshot):
                link = message.sender, message.receiver
                chunk = message.term, message.index, message.offset
                last, when_ns = self._chunks.get(link, (None, 0))
                is_early = now_ns - when_ns < machine.timing.election_ns // 2
                assert last != chunk or not is_early, f"chunk {chunk} leaves twice on {link}"
                self._chunks[link] = chunk, now_ns

    def lost(self, machine: "Machine", receiver: int) -> None:
        """Note that a member learns of a loss: it may send everything again."""
        self._chunks.pop((machine.me, receiver), None)

    def look(self, machine: "Machine") -> None:
        """Check a member after one of its steps."""
        replica = machine.replica
        assert replica is not None
        node = replica.node
        if node.leading is not None and self.leaders.get(node.term) != machine.me:
            self._elected(machine)
        if node.log.committed > machine.seen_commit:
            self._look_at_commits(machine)
        if node.log.applied > machine.seen_applied:
            self._look_at_state(machine)
        assert not replica.availability.diverged, replica.availability.diverged

    def handed_over(self, machine: "Machine", outcome: Outcome) -> None:
        """Check what came of the leadership of a member that stops."""
        if self.sim.options.orderly:
            assert outcome is None, f"{machine.me} ends without a successor: {outcome}"

    def _elected(self, machine: "Machine") -> None:
        assert machine.replica is not None
        node = machine.replica.node
        other = self.leaders.setdefault(node.term, machine.me)
        assert other == machine.me, f"{other} and {machine.me} lead in term {node.term}"
        self.sim.note(f"{machine.me} leads in term {node.term}")
        if self.sim.options.orderly:
            assert len(self.leaders) <= 1 + self.leader_stops, "leadership moved for no reason"
        for index in range(node.log.base + 1, max(self.committed, default=0) + 1):
            if index in self.committed:
                term = self.committed[index][0]
                assert node.log.term(index) == term, f"{machine.me} leads without entry {index}"
        self.sim.nemesis.elected(machine)

    def _look_at_commits(self, machine: "Machine") -> None:
        assert machine.replica is not None
        node, committed = machine.replica.node, self.committed
        first = max(machine.seen_commit, node.log.base)
        for entry in node.log.between(first, node.log.committed):
            here = (entry.term, entry.data)
            assert committed.setdefault(entry.index, here) == here, (
                f"entry {entry.index} was committed in term {committed[entry.index][0]}, "
                f"and {machine.me} has it of term {entry.term}"
            )
        machine.seen_commit = node.log.committed

    def _look_at_state(self, machine: "Machine") -> None:
        replica = machine.replica
        assert replica is not None
        own, digests = replica.corruption_check._own, self._digests
        for index in range(machine.seen_applied + 1, replica.node.log.applied + 1):
            noted, digest = own[index % HASHES_MAX]
            if noted == index:
                assert digests.setdefault(index, digest) == digest, (
                    f"{machine.me} is in another state at entry {index}"
                )
        machine.seen_applied = replica.node.log.applied
        recorder = machine.recorder
        while recorder.more:
            for event in recorder.take(TAKE_EVENTS):
                self._record(event)
        self.top = max(self.top, replica.keyspace.index)

    def _record(self, event: KeyEvent) -> None:
        here = happening(event)
        known = self.events.get(event.index)
        if known is not None:
            assert known == here, f"index {event.index} is {known} and {here}"
            return
        self.events[event.index] = here
        action, key, after, _ = here
        if after not in {MISSING, b""}:
            twice = self._written.setdefault(after, event.index)
            assert twice == event.index, f"{after!r} was written at {twice} and {event.index}"
        if action == "expire":
            early_ns = self.ends_after[key] - self.sim.now_ns
            assert early_ns <= 0, f"{key!r} ended {early_ns / 1e6:.1f} ms too early"
