"""Rules of the paper and the thesis, one by one, on a single node."""

import random

import pytest

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import (
    AddLearner,
    ChangeRefused,
    Configuration,
    Promote,
    Remove,
    encode,
)
from coordinator.core.raft.messages import (
    AnyMessage,
    AppendEntries,
    AppendOk,
    AppendReject,
    Heartbeat,
    HeartbeatOk,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    RequestVote,
    SnapshotReply,
    VoteReply,
)
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.raft.ready import NotLeader, Ready, Role, Timing
from coordinator.core.raft.snapshot_transfer import RaftSnapshot

THREE = Configuration(frozenset({1, 2, 3}))


def node(
    *terms: int, term: int = 0, vote: int = 0, configuration: Configuration = THREE
) -> RaftNode:
    """Return member 1 with entries of these terms, all on its disk."""
    entries = [LogEntry(each, index) for index, each in enumerate(terms, 1)]
    state = HardState(term or (terms[-1] if terms else 0), vote, 0)
    one = RaftNode(
        1, configuration, Log(0, 0, entries), state, randrange=random.Random(1).randrange
    )
    for _ in range(Timing().start_guard_ticks):  # it has kept what it may have promised
        one.tick()
    return one


def settle(one: RaftNode) -> Ready:
    ready = one.ready()
    one.saved(ready)
    return ready


def elect(one: RaftNode) -> RaftNode:
    """Let member 1 win its election with the vote of member 2."""
    one.election.campaign()
    one.step(PreVoteReply(sender=2, receiver=1, term=one.term + 1, granted=True))
    one.step(VoteReply(sender=2, receiver=1, term=one.term, granted=True))
    assert one.election.role is Role.LEADER
    return one


def vote(term: int, last_index: int, last_term: int, sender: int = 2) -> RequestVote:
    return RequestVote(
        sender=sender, receiver=1, term=term, last_index=last_index, last_term=last_term
    )


def granted(ready: Ready) -> bool:
    (reply,) = ready.after_save
    assert isinstance(reply, VoteReply)
    return reply.granted


def append(term: int, previous: tuple[int, int], *terms: int, commit: int = 0) -> AppendEntries:
    index, previous_term = previous
    entries = tuple(LogEntry(each, index + n) for n, each in enumerate(terms, 1))
    return AppendEntries(
        sender=2,
        receiver=1,
        term=term,
        prev_index=index,
        prev_term=previous_term,
        commit=commit,
        entries=entries,
    )


def only(ready: Ready) -> AnyMessage:
    (message,) = ready.after_save
    return message


def test_5_2_a_follower_without_a_leader_asks_for_pre_votes_before_it_campaigns() -> None:
    one = node(term=4)
    for _ in range(20):
        one.tick()
    assert one.election.role is Role.PRE_CANDIDATE
    ready = one.ready()
    assert {type(message) for message in ready.before_save} == {PreVote}
    assert (one.term, ready.state) == (4, None)


def test_5_2_a_member_votes_once_a_term() -> None:
    one = node()
    one.step(vote(5, 0, 0, sender=2))
    assert granted(settle(one))
    one.step(vote(5, 0, 0, sender=3))
    assert not granted(settle(one))
    one.step(vote(5, 0, 0, sender=2))
    assert granted(settle(one))


def test_5_2_a_vote_leaves_only_with_its_term_and_itself_saved() -> None:
    one = node()
    one.step(vote(5, 0, 0))
    ready = one.ready()
    assert ready.state == HardState(5, 2, 0)
    assert not ready.before_save


@pytest.mark.parametrize(
    ("last_index", "last_term", "expected"),
    [(3, 2, True), (1, 3, True), (2, 2, False), (9, 1, False)],
)
def test_5_4_1_a_vote_is_granted_to_a_log_at_least_as_new(
    last_index: int, last_term: int, expected: bool
) -> None:
    one = node(1, 2, 2)
    one.step(vote(7, last_index, last_term))
    assert granted(settle(one)) is expected


def test_5_3_append_entries_that_do_not_fit_are_refused_with_a_hint() -> None:
    one = node(1, 1, 4, 4, 4)
    one.step(append(6, (5, 3)))
    reply = only(settle(one))
    assert isinstance(reply, AppendReject)
    assert (reply.rejected, reply.hint, reply.hint_term) == (5, 2, 1)


def test_5_3_a_conflicting_entry_is_replaced_with_all_that_follow() -> None:
    one = node(1, 1, 2, 2)
    one.step(append(3, (2, 1), 3))
    ready = one.ready()
    assert ready.entries == (LogEntry(3, 3),)
    assert one.log.last == 3
    assert isinstance(only(ready), AppendOk)


def test_5_3_old_append_entries_do_not_change_the_log() -> None:
    one = node(1, 1, 1)
    one.step(append(1, (0, 0), 1))
    assert one.log.last == 3


def test_5_3_a_leader_commits_entries_that_a_majority_has_on_disk() -> None:
    one = elect(node(1))
    one.ready()
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=2))
    assert one.log.committed == 0, "its own entry is not saved yet"
    one.saved(Ready(entries=(LogEntry(one.term, 2),)))
    assert one.log.committed == 2


def test_5_4_2_entries_of_earlier_terms_are_not_committed_by_counting() -> None:
    one = elect(node(1, 1))
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=2))
    assert one.log.committed == 0
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=3))
    assert one.log.committed == 3


def test_7_a_snapshot_drops_no_entries_after_it() -> None:
    one = node(1, 1, 1)
    one.step(
        InstallSnapshot(
            sender=2,
            receiver=1,
            term=1,
            index=2,
            index_term=1,
            voters=(1, 2, 3),
            learners=(),
            offset=0,
            data=b"",
            size=0,
            crc=0,
        )
    )
    assert (one.log.last, one.log.committed) == (3, 2)


def test_thesis_3_10_leadership_is_transferred_only_to_a_voter() -> None:
    one = elect(node())
    with pytest.raises(ChangeRefused):
        one.transfer(9)
    one.transfer(2)
    with pytest.raises(NotLeader):
        one.propose([b"x"])


def test_thesis_4_1_one_change_at_a_time_and_only_after_a_commit_of_the_own_term() -> None:
    one = elect(node())
    with pytest.raises(ChangeRefused, match="not committed an entry of its term"):
        one.change(AddLearner(4))
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=1))
    one.change(AddLearner(4))
    assert one.configuration.learners == {4}
    with pytest.raises(ChangeRefused, match="under way"):
        one.change(Promote(4))


@pytest.mark.parametrize("change", [AddLearner(2), Promote(2), Promote(9), Remove(9)])
def test_a_change_that_does_not_fit_is_refused(change: AddLearner | Promote | Remove) -> None:
    one = elect(node())
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=1))
    with pytest.raises(ChangeRefused):
        one.change(change)


def test_thesis_4_2_3_a_member_that_hears_its_leader_ignores_a_vote() -> None:
    one = node(term=3)
    one.step(Heartbeat(sender=2, receiver=1, term=3, commit=0, round=1))
    settle(one)
    one.step(vote(9, 9, 9, sender=3))
    ready = settle(one)
    assert (one.term, ready.after_save) == (3, [])


def test_thesis_6_2_a_leader_without_a_quorum_steps_down() -> None:
    one = elect(node())
    for _ in range(20):
        one.tick()
    assert one.election.role is Role.FOLLOWER


def test_thesis_6_4_a_read_waits_for_the_terms_first_commit_and_a_round_of_heartbeats() -> None:
    one = elect(node(1))
    settle(one)
    one.read(77)
    assert not settle(one).reads
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=2))
    assert not settle(one).reads
    assert one.leading is not None
    one.step(HeartbeatOk(sender=3, receiver=1, term=one.term, round=one.leading.read_index._round))
    assert settle(one).reads == [(77, 2)]


def test_thesis_9_6_a_refused_pre_vote_changes_no_term() -> None:
    one = node(1, term=3)
    one.election.campaign()
    one.step(PreVoteReply(sender=2, receiver=1, term=3, granted=False))
    one.step(PreVoteReply(sender=3, receiver=1, term=3, granted=False))
    assert (one.election.role, one.term) == (Role.FOLLOWER, 3)


def test_a_stuck_leader_learns_the_newer_term_from_an_answer() -> None:
    one = node(term=5)
    one.step(Heartbeat(sender=2, receiver=1, term=3, commit=0, round=1))
    reply = only(settle(one))
    assert isinstance(reply, HeartbeatOk)
    assert reply.term == 5


def test_a_single_member_elects_itself_and_commits_saved_entries() -> None:
    one = node(configuration=Configuration(frozenset({1})))
    one.election.campaign()
    one.propose([b"x"])
    assert one.to_apply() == ()
    settle(one)
    assert [entry.data for entry in one.to_apply()] == [b"", b"x"]


def test_a_single_voter_sends_its_term_to_learners_only_after_saving_it() -> None:
    one = node(1, configuration=Configuration(frozenset({1}), frozenset({2})))
    one.election.campaign()
    ready = one.ready()
    assert ready.state == HardState(2, 1, 0)
    assert not ready.before_save, (
        "after a crash it would begin the same term again, with other entries"
    )
    assert {type(message) for message in ready.after_save} == {AppendEntries}


def test_thesis_4_2_2_a_voter_whose_removal_is_not_committed_can_still_be_elected() -> None:
    """The others lack the removal: their logs are older, and none of them can win its vote."""
    two = Configuration(frozenset({1, 2}))
    removal = LogEntry(1, 1, encode(Remove(1)))
    one = RaftNode(1, two, Log(0, 0, [removal]), HardState(1), randrange=random.Random(1).randrange)
    assert one.configuration.voters == {2}
    for _ in range(25):
        one.tick()
    assert {type(each) for each in one.ready().before_save} == {PreVote}
    elect(one)
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=one.log.last))
    assert (one.election.role, one.log.committed) == (Role.FOLLOWER, 2), (
        "it leads until its removal is committed"
    )


@pytest.mark.parametrize("leader_ticks", [3, 10, 50])
@pytest.mark.parametrize("tick_ms", [10, 100, 500])
@pytest.mark.parametrize("election_ticks", [3, 4, 5, 7, 10, 20, 50])
def test_thesis_6_4_1_a_lease_ends_before_a_guard_at_any_rate_of_clocks(
    election_ticks: int, tick_ms: int, leader_ticks: int
) -> None:
    """The slowest clock is at 0.8 and the fastest at 1.25; a guard's first tick may be short."""
    voter, leader = Timing(election_ticks, tick_ms=tick_ms), Timing(leader_ticks)
    lease_ms = leader.lease_ticks(voter.guard_ms) * leader.tick_ms
    assert lease_ms / 0.8 <= (voter.guard_ticks - 1) * tick_ms / 1.25
    assert lease_ms / 0.8 <= (voter.start_guard_ticks - 1) * tick_ms / 1.25


def test_thesis_6_4_1_no_lease_rests_on_a_member_that_does_not_say_how_long_it_is_bound() -> None:
    one = elect(node(1))
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=2))
    one.tick()
    beat = next(each for each in settle(one).before_save if isinstance(each, Heartbeat))
    one.step(HeartbeatOk(sender=2, receiver=1, term=one.term, round=beat.round))
    assert not one.has_lease
    one.step(HeartbeatOk(sender=3, receiver=1, term=one.term, round=beat.round, guard_ms=500))
    assert one.has_lease


def test_a_follower_without_what_it_acknowledged_is_asked_again_only_with_the_heartbeats() -> None:
    one = elect(node(1))
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=2))
    assert one.leading is not None
    one.leading.replication.lost(2)
    one.tick()
    beat = next(each for each in settle(one).before_save if isinstance(each, Heartbeat))
    one.propose([b"x"])
    one.step(HeartbeatOk(sender=2, receiver=1, term=one.term, round=beat.round))
    settle(one)
    empty = AppendReject(sender=2, receiver=1, term=one.term, rejected=2, hint=0, hint_term=0)
    one.step(empty)
    assert not any(isinstance(each, AppendEntries) for each in settle(one).before_save)


def test_an_answer_to_a_round_that_was_not_begun_proves_nothing() -> None:
    one = elect(node())
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=one.log.last))
    settle(one)
    one.step(HeartbeatOk(sender=2, receiver=1, term=one.term, round=1 << 60))
    one.read(7)
    assert settle(one).reads == []
    one.step(HeartbeatOk(sender=2, receiver=1, term=one.term, round=1))
    assert settle(one).reads == [(7, one.log.committed)]


def needs_a_snapshot() -> RaftNode:
    """Return a leader that is about to send the first chunk of a snapshot to member 3."""
    one = elect(node(1))
    settle(one)
    one.step(AppendOk(sender=2, receiver=1, term=one.term, match=2))
    for entry in one.to_apply():
        one.log.applied = entry.index
    one.compact(2)
    assert one.leading is not None
    one.leading.replication.offer(RaftSnapshot(2, one.term, THREE, bytes(1000)).sealed())
    settle(one)
    one.step(AppendReject(sender=3, receiver=1, term=one.term, rejected=1, hint=0, hint_term=0))
    return one


def chunks(ready: Ready) -> list[InstallSnapshot]:
    return [each for each in ready.before_save if isinstance(each, InstallSnapshot)]


def test_a_leader_ignores_an_answer_of_a_follower_that_has_more_than_the_whole_snapshot() -> None:
    one = needs_a_snapshot()
    assert one.leading is not None
    assert chunks(settle(one))
    one.step(SnapshotReply(sender=3, receiver=1, term=one.term, index=2, offset=1 << 40))
    assert not settle(one).before_save
    assert one.leading.progress[3].snapshot_offset == 0


def test_a_chunk_that_has_not_left_is_not_lost() -> None:
    one = needs_a_snapshot()
    assert one.leading is not None
    beat = HeartbeatOk(sender=3, receiver=1, term=one.term, round=0)
    one.leading.replication.lost(3)
    one.step(beat)
    assert len(chunks(settle(one))) == 1
    one.step(beat)
    assert not chunks(settle(one)), "it left after the loss"
    one.leading.replication.lost(3)
    one.step(beat)
    assert len(chunks(settle(one))) == 1


def test_the_time_for_the_answer_to_a_chunk_begins_when_the_chunk_leaves() -> None:
    one = needs_a_snapshot()
    beat = HeartbeatOk(sender=3, receiver=1, term=one.term, round=0)
    for _ in range(Timing().election_ticks):
        one.step(beat)
        one.tick()
    assert len(chunks(settle(one))) == 1
    for _ in range(Timing().election_ticks - 1):
        one.step(beat)
        one.tick()
    assert not chunks(settle(one))
    one.tick()
    one.step(beat)
    assert len(chunks(settle(one))) == 1
