"""How latencies to the other members are measured."""

import math

from coordinator.core.peer.latency import ROUNDS_MAX, PeerLatencies
from coordinator.core.raft.messages import AppendEntries, Heartbeat, HeartbeatOk

ME, NEAR, FAR = 1, 2, 3


def heartbeat(round_: int, receiver: int = NEAR, term: int = 5) -> Heartbeat:
    return Heartbeat(sender=ME, receiver=receiver, term=term, commit=0, round=round_)


def answer(round_: int, sender: int = NEAR, term: int = 5) -> HeartbeatOk:
    return HeartbeatOk(sender=sender, receiver=ME, term=term, round=round_)


def test_the_latency_of_an_answer_is_measured_from_its_own_round() -> None:
    trips = PeerLatencies()
    trips.sent([heartbeat(1), heartbeat(1, FAR)], 10.0)
    trips.sent([heartbeat(2), heartbeat(2, FAR)], 10.5)
    trips.received([answer(1), answer(2)], 10.503)
    trips.received([answer(1, FAR)], 10.007)
    near, far = trips.by_member()[NEAR], trips.by_member()[FAR]
    assert (near.done, far.done) == (2, 1)
    assert math.isclose(near.last_s, 0.003, abs_tol=1e-9)
    assert math.isclose(near.most_s, 0.503, abs_tol=1e-9)
    document = far.as_json()
    assert document["counts"] == {"fail": 0, "success": 1}
    assert math.isclose(document["latency"]["average"], 7.0, abs_tol=1e-6)  # type: ignore[index]
    assert list(near.below())[-1] == (math.inf, 2)
    assert dict(far.below())[0.0064] == 0
    assert dict(far.below())[0.0128] == 1


def test_an_answer_to_an_unknown_or_old_heartbeat_is_not_measured() -> None:
    trips = PeerLatencies()
    trips.received([answer(7)], 1.0)
    for round_ in range(ROUNDS_MAX + 1):
        trips.sent([heartbeat(round_)], float(round_))
    trips.received([answer(0), answer(1, term=4)], 99.0)
    assert not trips.by_member()
    trips.received([answer(1)], 99.0)
    assert trips.by_member()[NEAR].done == 1


def test_drops_and_append_entries_are_counted_and_removed_members_forgotten() -> None:
    trips = PeerLatencies()
    append = AppendEntries(sender=ME, receiver=NEAR, term=5, prev_index=0, prev_term=0, commit=0)
    trips.sent([append, append], 0.0)
    trips.received([append], 0.0)
    assert (trips.appends_sent, trips.appends_received) == (2, 1)
    trips.failed(NEAR)
    trips.failed(FAR)
    assert trips.by_member()[NEAR].as_json()["counts"] == {"fail": 1, "success": 0}
    trips.only([FAR])
    assert list(trips.by_member()) == [FAR]
