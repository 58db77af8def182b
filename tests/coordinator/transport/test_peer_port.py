"""What strangers, and members that misbehave, can do at the peer port of real members."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import psutil
import pytest

from coordinator.core.peer.peer_messages import (
    ForwardedChange,
    ForwardedCommand,
    ForwardedCommands,
    ForwardedTransfer,
    PeerMessage,
)
from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.membership import AddLearner
from coordinator.core.raft.messages import (
    AppendEntries,
    AppendOk,
    AppendReject,
    Commit,
    Heartbeat,
    HeartbeatOk,
    InstallSnapshot,
    SnapshotReply,
)
from coordinator.core.store.commands import Command, Delete, Note, Put, Sync
from rig.cluster import Cluster, ClusterMember, ask
from rig.processes import wait_until
from tests.coordinator.transport.raw_peer import RawPeer, address, id_of

MIB = 1 << 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members; the third one does not run, so a test can speak in its name."""
    three = Cluster(tmp_path_factory.mktemp("peers"))
    three.__enter__()
    try:
        three.kill(three.members[2])
        yield three
    finally:
        three.__exit__()


class Third:
    """The third member, as a test plays it towards the leader."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.me = id_of(cluster.members[2])
        self.leader = cluster.leader()
        self._origin, self._sequence = secrets.randbits(62), 0

    def dial(self) -> RawPeer:
        peer = RawPeer(self.leader, address(self.cluster, self.me))
        assert peer.status == 101, peer.answer
        return peer

    @property
    def head(self) -> dict[str, int]:
        """The fields that every message has, in the leader's term."""
        term = int(str(self.cluster.state(self.leader)["term"]))
        return {"sender": self.me, "receiver": id_of(self.leader), "term": term}

    def forward(self, *commands: Command, ttl_ns: int = -1) -> ForwardedCommands:
        requests = []
        for command in commands:
            self._sequence += 1
            requests.append(ForwardedCommand(self._sequence, command, ttl_ns))
        return ForwardedCommands(**self.head, origin=self._origin, requests=requests)


@pytest.fixture
def third(cluster: Cluster) -> Third:
    return Third(cluster)


def alive(cluster: Cluster) -> bool:
    """Whether the members that ran still run, and a write is decided."""
    running = [each.running for each in cluster.members[:2]]
    assert all(each is not None and each.process.poll() is None for each in running)
    return cluster.write("/alive", "yes").status in {200, 201}


def exists(cluster: Cluster, key: str, by: ClusterMember) -> bool:
    return cluster.read(key, by=by, quorum=True).status == 200


def test_a_stranger_is_refused_with_the_reason(cluster: Cluster) -> None:
    with RawPeer(cluster.leader(), address(cluster, 0xDEAD)) as stranger:
        assert stranger.status == 403
        assert b"dead is no member of this cluster" in stranger.answer


def test_a_member_forwards_a_write(cluster: Cluster, third: Third) -> None:
    with third.dial() as peer:
        peer.send(third.forward(Put(b"/forwarded", b"1")))
        wait_until(lambda: exists(cluster, "/forwarded", third.leader), "the write")


BAD_COMMANDS: dict[str, tuple[Command, int]] = {
    "a key without a slash": (Put(b"x", b"1"), -1),
    "an empty key": (Put(b""), -1),
    "an empty part of a key": (Put(b"/a//b", b"1"), -1),
    "a time to live of a deletion": (Delete(b"/a"), 10**9),
    "the leader's own time": (Sync(2**62), -1),
    "a note that nobody reads": (Note("members/zz/raft", b""), -1),
    "a removal past the membership": (Note("members/1/raft", b""), -1),
    "members that are no JSON": (Note("members/1/attributes", b"\xff{"), -1),
    "more than the log can hold": (Put(b"/big", bytes(17 * MIB)), -1),
}


@pytest.mark.parametrize("what", BAD_COMMANDS)
def test_an_invalid_command_is_refused_before_the_log(
    cluster: Cluster, third: Third, what: str
) -> None:
    command, ttl_ns = BAD_COMMANDS[what]
    mark = f"/after-{list(BAD_COMMANDS).index(what)}"
    with third.dial() as peer:
        peer.send(third.forward(command, ttl_ns=ttl_ns))
        peer.send(third.forward(Put(mark.encode(), b"1")))
        wait_until(lambda: exists(cluster, mark, third.leader), "the write after it")
    assert alive(cluster)


def test_a_key_that_clients_may_not_write_is_refused_from_a_member_too(
    cluster: Cluster, third: Third
) -> None:
    with third.dial() as peer:
        peer.send(third.forward(Put(b"/deep" + b"/a" * 200, b"1"), Put(b"/after-deep", b"1")))
        wait_until(lambda: exists(cluster, "/after-deep", third.leader), "the write after it")
    assert not exists(cluster, "/deep", third.leader)


@pytest.mark.parametrize("context", [b"", b"\xc1", msgspec.msgpack.encode((1, 1, b"no JSON"))])
def test_a_change_of_members_without_urls_is_refused(
    cluster: Cluster, third: Third, context: bytes
) -> None:
    with third.dial() as peer:
        peer.send(ForwardedChange(**third.head, sequence=1, change=AddLearner(7, context)))
        peer.send(ForwardedTransfer(**third.head, sequence=2, target=7))
        peer.send(third.forward(Put(b"/changed", b"1")))
        wait_until(lambda: exists(cluster, "/changed", third.leader), "the write after it")
    assert alive(cluster)
    assert len(cluster.state(third.leader)["followers"]) == 2  # type: ignore[arg-type]


def misbehaving(third: Third) -> dict[str, PeerMessage]:
    head, base = third.head, {"index": 10**6, "index_term": 1, "voters": (), "learners": ()}
    far = 10**9
    return {
        "a second leader's heartbeat": Heartbeat(**head, commit=0, round=1),
        "a second leader's entries": AppendEntries(
            **head, prev_index=0, prev_term=0, commit=far, entries=(LogEntry(1, 1, b"x"),)
        ),
        "a second leader's commit": Commit(**head, commit=far),
        "a second leader's snapshot": InstallSnapshot(
            **head, **base, offset=0, data=b"", size=0, crc=0
        ),  # type: ignore[arg-type]
        "an answer to what was not sent": AppendOk(**head, match=far),
        "a refusal of what was not sent": AppendReject(**head, rejected=far, hint=far, hint_term=9),
        "a snapshot that was not sent": SnapshotReply(**head, index=far, offset=far),
        "a round to come": HeartbeatOk(**head, round=far),
    }


def test_no_message_of_the_current_term_ends_the_leader(cluster: Cluster, third: Third) -> None:
    before = third.head["term"]
    for what, message in misbehaving(third).items():
        with third.dial() as peer:
            peer.send(message, third.forward(Put(b"/last", what.encode())))
            wait_until(
                lambda what=what: (  # type: ignore[misc]
                    cluster.read("/last", by=third.leader).body.get("node", {}).get("value")  # type: ignore[attr-defined]
                    == what
                ),
                f"after {what}",
            )
    assert alive(cluster)
    assert cluster.leader() is third.leader
    assert third.head["term"] == before


@pytest.mark.parametrize(
    "entries",
    [(LogEntry(1, 99, b"x"),), (LogEntry(1, 1, b"\xc1"),), (LogEntry(1, 1, bytes(17 * MIB)),)],
    ids=["a gap", "a change of members that is none", "more than the log can hold"],
)
def test_entries_that_no_leader_sends_end_the_connection(
    cluster: Cluster, third: Third, entries: tuple[LogEntry, ...]
) -> None:
    with third.dial() as peer:
        peer.send(AppendEntries(**third.head, prev_index=0, prev_term=0, commit=0, entries=entries))
        assert peer.is_closed()
    assert alive(cluster)


def test_a_number_below_zero_ends_the_connection(cluster: Cluster, third: Third) -> None:
    with third.dial() as peer:
        peer.send(AppendReject(**third.head, rejected=-1, hint=-5, hint_term=-1))
        assert peer.is_closed()
    assert alive(cluster)


def test_a_message_in_the_name_of_another_member_ends_the_connection(
    cluster: Cluster, third: Third
) -> None:
    forged = third.forward(Put(b"/forged", b"1"))
    with third.dial() as peer:
        peer.send(msgspec.structs.replace(forged, sender=id_of(cluster.members[0]) ^ 1))
        assert peer.is_closed()
    assert not exists(cluster, "/forged", third.leader)


def test_a_member_that_dials_again_ends_its_earlier_connection(third: Third) -> None:
    with third.dial() as first, third.dial() as second:
        assert first.is_closed()
        second.send(third.forward(Put(b"/second", b"1")))
        wait_until(lambda: exists(third.cluster, "/second", third.leader), "the second one serves")


def test_unfinished_frames_of_one_member_do_not_add_up(cluster: Cluster, third: Third) -> None:
    assert third.leader.running is not None
    process = psutil.Process(third.leader.running.process.pid)
    before = process.memory_info().rss
    with ExitStack() as held:
        for _ in range(6):
            peer = held.enter_context(third.dial())
            peer.send_bytes((60 * MIB).to_bytes(4, "little") + bytes(40 * MIB))
        held.enter_context(third.dial()).send(third.forward(Put(b"/unfinished", b"1")))
        wait_until(lambda: exists(cluster, "/unfinished", third.leader), "the write after them")
        assert process.memory_info().rss - before < 150 * MIB


def test_a_request_with_more_urls_than_a_log_entry_holds_ends_no_member(cluster: Cluster) -> None:
    urls = [f"http://m{number}:2380" for number in range(620_000)]
    for member in cluster.members[:2]:
        answer = ask(
            "POST", f"{member.url}/v2/members", json.dumps({"peerURLs": urls}), as_json=True
        )
        assert answer.status in {400, 413}
    assert alive(cluster)
