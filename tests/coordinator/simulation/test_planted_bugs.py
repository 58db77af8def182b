"""The simulation finds planted bugs: each test breaks one rule and expects a seed to fail."""

import random
import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from coordinator.core.peer import frames, peer_messages
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft import quorum
from coordinator.core.raft.entry import HardState
from coordinator.core.raft.membership import ConfChange, Configuration
from coordinator.core.raft.progress import FollowerProgress
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.raft.ready import Ready, Timing
from coordinator.core.raft.replication import Replication
from coordinator.core.replica import reconfiguration
from coordinator.core.replica.cluster_clock import ClusterClock
from coordinator.core.replica.pending import ANY_OTHER, PendingProposals, Waiter
from coordinator.core.replica.proposer import Proposer
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.sessions import Sessions
from coordinator.core.replica.start_state import StartState
from coordinator.core.storage import snapshot_file, torn_write
from coordinator.core.store.commands import NO_TTL, Put
from tests.coordinator.simulation.options import ORDERLY, SimulatorOptions, drawn
from tests.coordinator.simulation.simulator import SECOND, Simulator

SEEDS_MAX = 250
SECONDS = 12.0
Patch = pytest.MonkeyPatch


def vote_not_saved(patch: Patch) -> None:
    ready = RaftNode.ready

    def forgetful(self: RaftNode) -> Ready:
        result = ready(self)
        if result.state is not None:
            result.state = HardState(result.state.term, 0, result.state.commit)
        return result

    patch.setattr(RaftNode, "ready", forgetful)


def old_terms_committed_by_counting(patch: Patch) -> None:
    def committed(self: Replication, configuration: Configuration) -> int:
        def match(member: int) -> int:
            progress = self.progress.get(member)
            if member == self._me:
                return self._log.stable
            return progress.match if progress else 0

        return max(self._log.committed, quorum.reached(configuration.voters, match))

    patch.setattr(Replication, "committed", committed)


def no_guard_after_a_restart(patch: Patch) -> None:
    begin = RaftNode.__init__

    def hasty(self: RaftNode, me: int, *about: object, **more: object) -> None:
        begin(self, me, *about, **more)  # type: ignore[arg-type]
        self.election._guard_until = 0

    patch.setattr(RaftNode, "__init__", hasty)


def guard_of_a_tick_less(patch: Patch) -> None:
    patch.setattr(Timing, "guard_ticks", property(lambda self: self.election_ticks // 2))
    patch.setattr(Timing, "lease_ticks", lambda self, _: self.election_ticks * 3 // 10)


def lease_by_the_leaders_own_timing(patch: Patch) -> None:
    patch.setattr(Timing, "lease_ticks", lambda self, _: (self.guard_ticks - 1) * 5 // 8)


def a_member_that_does_not_say_it_counts_as_bound(patch: Patch) -> None:
    lease_ticks = Timing.lease_ticks

    def trusting(self: Timing, guard_ms: int) -> int:
        own = (self.guard_ticks - 1) * 5 // 8
        return lease_ticks(self, guard_ms) if guard_ms else own

    patch.setattr(Timing, "lease_ticks", trusting)


def silent_after_a_start_by_its_new_timing(patch: Patch) -> None:
    patch.setattr(Timing, "start_guard_ticks", property(lambda self: self.guard_ticks))


def lease_not_ended_by_a_transfer(patch: Patch) -> None:
    transfer = RaftNode.transfer

    def keep(self: RaftNode, target: int) -> None:
        lease = self.leading.read_index.lease_until if self.leading else 0
        transfer(self, target)
        if self.leading is not None:
            self.leading.read_index.lease_until = lease

    patch.setattr(RaftNode, "transfer", keep)


def heartbeats_send_the_chunk_again(patch: Patch) -> None:
    heard = Replication.heard

    def hasty(self: Replication, member: int) -> None:
        self.progress[member]._chunk_ticks_left = 0
        heard(self, member)

    patch.setattr(Replication, "heard", hasty)


def each_answer_sends_a_chunk(patch: Patch) -> None:
    def answered(self: FollowerProgress, offset: int) -> bool:
        self._continue_at(offset)
        return True

    patch.setattr(FollowerProgress, "chunk_answered", answered)


def all_that_waits_is_forwarded_at_once(patch: Patch) -> None:
    patch.setattr(PendingProposals, "take_to_forward", PendingProposals.take_unsent)


def all_that_leaves_together_is_one_frame(patch: Patch) -> None:
    def encode(messages: list[PeerMessage]) -> bytes:
        content = peer_messages.encode(messages)
        return len(content).to_bytes(4, "little") + content

    patch.setattr(frames, "encode", encode)


def a_follower_that_stops_asks_for_a_transfer(patch: Patch) -> None:
    def retire(self: Replica, waiter: Waiter) -> bool:
        self.propose(ANY_OTHER, waiter)
        return True

    patch.setattr(Replica, "retire", retire)


def the_longest_log_leads_next_even_if_its_member_is_down(patch: Patch) -> None:
    def best(node: RaftNode) -> int:
        progress = node.leading.progress if node.leading else {}
        return max(progress, key=lambda member: (progress[member].match, -member))

    patch.setattr(reconfiguration, "_best_target", best)


def nothing_is_applied_twice_by_chance(patch: Patch) -> None:
    patch.setattr(Sessions, "is_new", lambda *_: True)


def ends_by_the_wall_clock(patch: Patch) -> None:
    begin, propose = Replica.__init__, Replica.propose
    offsets_ns: dict[Replica, int] = {}

    def remember(self: Replica, start: StartState) -> None:
        offsets_ns[self] = start.wall_ns - start.now_ns
        begin(self, start)

    def put(
        self: Replica, command: Put, waiter: Waiter | None = None, ttl_ns: int = NO_TTL
    ) -> None:
        if ttl_ns != NO_TTL:
            expires_ns = offsets_ns[self] + self.clock.monotonic_ns + ttl_ns
            command = msgspec.structs.replace(command, expires_ns=expires_ns)
        propose(self, command, waiter)

    patch.setattr(Replica, "__init__", remember)
    patch.setattr(Replica, "propose", put)


def what_is_wrong_at_the_end_of_the_log_counts_as_torn(patch: Patch) -> None:
    classify = torn_write.classify

    def lenient(raw: bytes, offset: int, crc: int, head_bytes: int) -> torn_write.LogEnd:
        end = classify(raw, offset, crc, head_bytes)
        is_damaged = isinstance(end, torn_write.Corruption)
        return torn_write.TornWrite(len(raw)) if is_damaged else end

    patch.setattr(torn_write, "classify", lenient)


def a_snapshot_is_read_without_its_checksum(patch: Patch) -> None:
    patch.setattr(snapshot_file, "extend", lambda *_: 0)


def expiries_are_shown_in_cluster_time(patch: Patch) -> None:
    patch.setattr(ClusterClock, "follow_utc", lambda *_: None)


def expiries_are_shown_by_the_wall_clock_of_the_start(patch: Patch) -> None:
    follow = ClusterClock.follow_utc

    def once(self: ClusterClock, utc_ns: int) -> None:
        if not self._utc_ahead_ns:
            follow(self, utc_ns)

    patch.setattr(ClusterClock, "follow_utc", once)


def time_anchored_once_a_term(patch: Patch) -> None:
    anchor = Proposer._anchor

    def rarely(self: Proposer, cluster_ns: int) -> None:
        if self._anchored[0] != self._node.term:
            anchor(self, cluster_ns)

    patch.setattr(Proposer, "_anchor", rarely)


def a_leader_proposes_before_it_knows_the_time(patch: Patch) -> None:
    patch.setattr(Proposer, "knows_time", property(lambda _: True))


def reads_without_lease_or_round(patch: Patch) -> None:
    def read(self: Replica, waiter: Waiter) -> None:
        self.availability.check()
        self._outcomes.append((waiter, None))

    patch.setattr(Replica, "read", read)


def change_before_the_terms_no_op(patch: Patch) -> None:
    change = RaftNode.change

    def hasty(self: RaftNode, wanted: ConfChange) -> int:
        leading = self.election.leadership()
        first, leading.first_index = leading.first_index, 0
        try:
            return change(self, wanted)
        finally:
            leading.first_index = first

    patch.setattr(RaftNode, "change", hasty)


def acknowledged_before_it_is_saved(patch: Patch) -> None:
    ready = RaftNode.ready

    def hasty(self: RaftNode) -> Ready:
        result = ready(self)
        result.before_save, result.after_save = [*result.before_save, *result.after_save], []
        return result

    patch.setattr(RaftNode, "ready", hasty)


def as_drawn(options: SimulatorOptions) -> SimulatorOptions:
    return options


def orderly(_: SimulatorOptions) -> SimulatorOptions:
    return ORDERLY


def only(*names: str, **others: object) -> Callable[[SimulatorOptions], SimulatorOptions]:
    """Return a simulator with only these troubles."""

    def sharpened(options: SimulatorOptions) -> SimulatorOptions:
        troubles = dict.fromkeys(names, 1.0)
        return replace(options, troubles=troubles, **others)  # type: ignore[arg-type]

    return sharpened


# Nothing goes wrong but the troubles, so that an old leader keeps its lease for as long as it may.
CLEAN: dict[str, object] = {
    "members": 3, "delay_ns": 1_000_000, "drop": 0.0, "duplicate": 0.0, "reorder": 0.0,
    "slow_save": 0.0, "fail_save": 0.0, "strike_leaders": 0.0, "strike_voters": 0.0,
    "short_lived": 0.0, "bandwidth": 0, "old": 0.0, "retimed": 0.0, "append_bytes": 4000,
    "snapshot_count": 10_000, "inflight": 256, "frame_bytes": 64 << 20, "forward_bytes": 4000,
    "rates": (100,), "timings": (Timing(),), "trouble_ns": 2 * SECOND,
}  # fmt: skip
MIXED_CLEAN = CLEAN | {
    "timings": (Timing(40), Timing(4)), "trouble_ns": 700_000_000, "think_ns": 100_000_000,
}  # fmt: skip
AMNESIA = only("amnesia", **CLEAN)
USURPERS = only("usurp", **CLEAN | {"rates": (80, 125), "trouble_ns": SECOND})
TIMINGS = only("usurp", "hand_over", **MIXED_CLEAN)
VERSIONS = only("usurp", "hand_over", **MIXED_CLEAN | {"old": 0.5})
RETIMED = only(
    "amnesia",
    **CLEAN
    | {
        "timings": (Timing(20),),
        "retimed": 1.0,
        "new_timings": (Timing(20), Timing(3, tick_ms=50)),
        "think_ns": 100_000_000,
    },
)
FIGURE_8 = only(
    "figure_8", members=3, append_bytes=1, delay_ns=20_000_000, strike_leaders=0.0, rush=9
)
CONTESTS = only(
    "usurp", members=5, delay_ns=60_000_000, rates=(100,), strike_voters=0.6, strike_leaders=0.0,
    trouble_ns=2 * SECOND, rush=0, drop=0.0,
)  # fmt: skip
DRIFT = only(
    "crash", "hand_over", members=3, rates=(80, 125), short_lived=0.05, trouble_ns=2 * SECOND
)
CUTS = only("crash", "power_cut", members=3, slow_save=0.3, fail_save=0.02)
SNAPSHOTS = only(
    "crash", "isolate",
    members=3, trouble_ns=2 * SECOND, snapshot_count=12, entries_kept=0, chunk_bytes=900,
    bandwidth=30_000, duplicate=0.1,
)  # fmt: skip
FLOODS = only("flood", members=3, frame_bytes=20_000, append_bytes=4000, chunk_bytes=900)
FLIPS = only("damage", members=5, trouble_ns=2 * SECOND, snapshot_count=12)
JUMPS = only("crash", "wall_jump", members=3, short_lived=0.5)
RIVALS = only("rivals", members=4, strike_leaders=0.0, trouble_ns=3 * SECOND)
REPLAY = only(
    "crash", "power_cut", "hand_over", "isolate",
    members=3, rates=(80, 125), short_lived=0.6, think_ns=120_000_000, snapshot_count=10_000,
)  # fmt: skip
STALE = "no order explains"
SPLIT = "was committed in term|leads without entry|two entries|another state|was committed twice"
LOST = f"{SPLIT}|{STALE}|logs agree|gone$|index .* is "
EARLY = "too early"
PLANTED = [
    (vote_not_saved, CONTESTS, f"{LOST}|lead in term|two leaders"),
    (old_terms_committed_by_counting, FIGURE_8, LOST),
    (no_guard_after_a_restart, AMNESIA, STALE),
    (guard_of_a_tick_less, USURPERS, STALE),
    (lease_by_the_leaders_own_timing, TIMINGS, STALE),
    (a_member_that_does_not_say_it_counts_as_bound, VERSIONS, STALE),
    (silent_after_a_start_by_its_new_timing, RETIMED, STALE),
    (
        lease_not_ended_by_a_transfer,
        only("hand_over", members=3, delay_ns=1_000_000, strike_leaders=0.0),
        STALE,
    ),
    (heartbeats_send_the_chunk_again, SNAPSHOTS, "leaves twice"),
    (each_answer_sends_a_chunk, SNAPSHOTS, "leaves twice"),
    (all_that_waits_is_forwarded_at_once, FLOODS, "a message of"),
    (all_that_leaves_together_is_one_frame, FLOODS, "a frame of"),
    (a_follower_that_stops_asks_for_a_transfer, orderly, "without a successor|for no reason"),
    (the_longest_log_leads_next_even_if_its_member_is_down, orderly, "without a successor"),
    (nothing_is_applied_twice_by_chance, as_drawn, "was written at"),
    (ends_by_the_wall_clock, as_drawn, EARLY),
    (what_is_wrong_at_the_end_of_the_log_counts_as_torn, FLIPS, "flipped bit"),
    (a_snapshot_is_read_without_its_checksum, FLIPS, "flipped bit|UnreadableDump"),
    (expiries_are_shown_in_cluster_time, as_drawn, "is shown with"),
    (expiries_are_shown_by_the_wall_clock_of_the_start, JUMPS, "is shown with"),
    (time_anchored_once_a_term, DRIFT, EARLY),
    (a_leader_proposes_before_it_knows_the_time, REPLAY, EARLY),
    (reads_without_lease_or_round, as_drawn, STALE),
    (change_before_the_terms_no_op, RIVALS, LOST),
    (acknowledged_before_it_is_saved, CUTS, LOST),
]


@pytest.mark.parametrize(
    ("plant", "sharpen", "shows"), PLANTED, ids=[plant.__name__ for plant, _, _ in PLANTED]
)
def test_a_broken_rule_is_found(
    plant: Callable[[Patch], None],
    sharpen: Callable[[SimulatorOptions], SimulatorOptions],
    shows: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    others = set()
    for seed in range(SEEDS_MAX):
        try:
            sim = Simulator(seed, sharpen(drawn(random.Random(seed))))
            sim.run(SECONDS)
            sim.converge()
        except AssertionError as failure:
            last = str(failure).splitlines()[-1]
            if re.search(shows, last):
                print(last)
                return
            others.add(last)
    pytest.fail(f"{SEEDS_MAX} seeds did not find it, but {others}")
