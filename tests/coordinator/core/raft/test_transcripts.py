"""Raft as transcripts: commands, and every message that they cause.

A file is blocks of commands, `----`, and what comes of them; a block ends at an empty line.

    members N [learners M]   begin with so many voters
    tick M xN                let member M (or `all`) live through N ticks
    campaign M               let a member begin an election
    elected M                let it win one, without a word
    suspect M                let a member believe that its leader's process has ended
    propose M TEXT           give a leader a command
    add|promote|remove M X   ask a leader for a change of membership
    transfer M X             ask a leader to hand over
    read M X                 ask member M for a read index under context X
    deliver N                let the next N messages arrive; `stabilize`: all, and theirs
    drop N                   lose the next N messages in flight
    lost M X                 let member M learn that messages to X were lost
    delay N                  let the next N messages arrive after all others in flight
    repeat N                 let the next N messages arrive twice
    partition A,B | C        block messages between groups; `heal` ends it
    log M TERM,TERM,...      start member M with a log of these terms
    compact M                let a leader forget what it has applied, and offer it as a snapshot
    restart M                start a member again from its disk
    show [M]                 show the state of members

`pytest --rewrite` records the lines again.
"""

import random
from collections import deque
from pathlib import Path

import pytest

from coordinator.core.raft import describe, snapshot_transfer
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import (
    AddLearner,
    ChangeRefused,
    Configuration,
    Promote,
    Remove,
)
from coordinator.core.raft.messages import AnyMessage
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.raft.ready import NotLeader
from coordinator.core.raft.snapshot_transfer import RaftSnapshot

FILES = sorted((Path(__file__).parent / "golden").glob("*.txt"))
CHANGES = {"add": AddLearner, "promote": Promote, "remove": Remove}
CHUNK_BYTES = 8
DELIVERIES_MAX = 1000


class Script:
    """The cluster of one file."""

    def __init__(self) -> None:
        self.nodes: dict[int, RaftNode] = {}
        self.wire: deque[AnyMessage] = deque()
        self.groups: list[set[int]] = []
        self.configuration = Configuration(frozenset())
        self.lines: list[str] = []
        self._stood: dict[int, str] = {}

    def run(self, command: str) -> list[str]:
        verb, *words = command.split()
        self.lines = []
        try:
            getattr(self, f"do_{verb}")(*words)
        except (NotLeader, ChangeRefused) as refusal:
            self.lines.append(f"refused: {refusal}")
        self._settle()
        return self.lines

    def do_members(self, voters: str, _: str = "", learners: str = "0") -> None:
        ids = range(1, int(voters) + int(learners) + 1)
        self.configuration = Configuration(
            frozenset(ids[: int(voters)]), frozenset(ids[int(voters) :])
        )
        for member in ids:
            self._begin(member, Log(0, 0), HardState())

    def do_log(self, member: str, terms: str) -> None:
        entries = [LogEntry(int(term), n, b"x") for n, term in enumerate(terms.split(","), 1)]
        self._begin(int(member), Log(0, 0, entries), HardState(entries[-1].term))

    def do_restart(self, member: str) -> None:
        old = self.nodes[int(member)]
        kept = old.log.between(old.log.base, old.log.stable)
        log = Log(old.log.base, old.log.term(old.log.base) or 0, kept)
        self._begin(int(member), log, HardState(old.term, old.election.vote, old.log.committed))

    def do_tick(self, member: str, times: str = "x1") -> None:
        for _ in range(int(times[1:])):
            for node in [self.nodes[int(member)]] if member != "all" else self.nodes.values():
                node.tick()
            self._settle()

    def do_campaign(self, member: str) -> None:
        self.nodes[int(member)].election.campaign()

    def do_elected(self, member: str) -> None:
        self.do_campaign(member)
        self._settle()
        self.do_stabilize()
        self.lines = []

    def do_propose(self, member: str, text: str) -> None:
        self.nodes[int(member)].propose([text.encode()])

    def _change(self, kind: str, member: str, target: str) -> None:
        self.nodes[int(member)].change(CHANGES[kind](int(target)))
        if int(target) not in self.nodes:
            self.configuration = Configuration(frozenset())
            self._begin(int(target), Log(0, 0), HardState())

    def do_add(self, member: str, target: str) -> None:
        self._change("add", member, target)

    def do_promote(self, member: str, target: str) -> None:
        self._change("promote", member, target)

    def do_remove(self, member: str, target: str) -> None:
        self._change("remove", member, target)

    def do_transfer(self, member: str, target: str) -> None:
        self.nodes[int(member)].transfer(int(target))

    def do_read(self, member: str, context: str) -> None:
        node = self.nodes[int(member)]
        self.lines.append(f"{member} lease={str(node.has_lease).lower()}")
        node.read(int(context))

    def do_suspect(self, member: str) -> None:
        self.nodes[int(member)].election.suspect(self.nodes[int(member)].leader)

    def do_partition(self, *words: str) -> None:
        groups = " ".join(words).split("|")
        self.groups = [{int(each) for each in group.split(",")} for group in groups]

    def do_heal(self) -> None:
        self.groups = []

    def do_drop(self, count: str) -> None:
        for _ in range(int(count)):
            self.lines.append(f"lost: {describe.message(self.wire.popleft())}")

    def do_lost(self, member: str, receiver: str) -> None:
        leading = self.nodes[int(member)].leading
        assert leading is not None
        leading.replication.lost(int(receiver))

    def do_delay(self, count: str) -> None:
        self.wire.rotate(-int(count))

    def do_repeat(self, count: str) -> None:
        again = [self.wire[n] for n in range(int(count))]
        self.wire.extendleft(reversed(again))

    def do_stabilize(self) -> None:
        self.do_deliver(str(DELIVERIES_MAX))
        assert not self.wire, "they never come to rest"

    def do_deliver(self, count: str) -> None:
        for _ in range(int(count)):
            if not self.wire:
                return
            message = self.wire.popleft()
            if self._passes(message):
                self.lines.append(describe.message(message))
                self.nodes[message.receiver].step(message)
                self._settle()

    def do_compact(self, member: str) -> None:
        node = self.nodes[int(member)]
        at = node.log.applied
        data = b"".join(each.data for each in node.log.between(node.log.base, at))
        term = node.log.term(at) or 0
        image = RaftSnapshot(at, term, node.configurations.at(at), data)
        node.compact(at)
        assert node.leading is not None
        node.leading.replication.offer(image.sealed())

    def do_show(self, *members: str) -> None:
        self._stood.clear()
        if members:
            self._stood = {m: describe.member(n) for m, n in self.nodes.items()}
            self.lines += [self._stood[int(member)] for member in members]

    def _begin(self, member: int, log: Log, state: HardState) -> None:
        randrange = random.Random(member).randrange
        self.nodes[member] = RaftNode(member, self.configuration, log, state, randrange=randrange)

    def _passes(self, message: AnyMessage) -> bool:
        ends = {message.sender, message.receiver}
        return message.receiver in self.nodes and (
            not self.groups or any(ends <= group for group in self.groups)
        )

    def _settle(self) -> None:
        """Save at once, send, apply; say what changed."""
        for member, node in self.nodes.items():
            while (ready := node.ready()).is_due:
                self.wire += [*ready.before_save, *ready.after_save]
                node.saved(ready)
                for context, index in ready.reads:
                    self.lines.append(f"{member} may read {context} at {index}")
            for each in node.to_apply():
                node.log.applied = each.index
            stands = describe.member(node)
            if self._stood.get(member) != stands:
                self.lines.append(stands)
            self._stood[member] = stands


def replay(text: str) -> str:
    """Return the file as it would be if what is said now were right."""
    script, out = Script(), []
    for block in text.strip().split("\n\n"):
        commands = block.partition("\n----")[0].splitlines()
        lines = [line for each in commands if not each.startswith("#") for line in script.run(each)]
        out.append("\n".join([*commands, "----", *lines]))
    return "\n\n".join(out) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_transcript_has_the_recorded_lines(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_transfer, "CHUNK_BYTES", CHUNK_BYTES)
    recorded = path.read_text()
    now = replay(recorded)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert now == recorded
