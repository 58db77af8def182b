"""What a host does next, whose turn it is, what became of a holder, and when a grant stands."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from locksmith.core import fence, health, holder_status, policy, queue
from locksmith.core.fence import Grant
from locksmith.core.holder_status import HolderStatus
from locksmith.core.policy import Action, GroupFacts, HostFacts, Rules, Strategy
from locksmith.core.queue import HEAD_START_S, Waiter
from locksmith.core.records import Heartbeat, HolderRecord, Phase
from locksmith.core.semaphore import Semaphore
from locksmith.core.window import Calendar, parse_window

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEED = HostFacts(NOW, ("kernel",), NOW)
LOCK = Rules(Strategy.ETCD_LOCK)
RECORD = HolderRecord("b1", "h", "2026-03-01T11:00:00Z", Phase.REBOOTING, token=7)


def test_without_a_need_a_host_rests_and_leaves_the_queue() -> None:
    idle = HostFacts(NOW, (), NOW)
    assert policy.decide(LOCK, idle, GroupFacts(1)).action is Action.IDLE
    assert policy.decide(LOCK, idle, GroupFacts(1, ahead=0)).action is Action.LEAVE_QUEUE


def test_a_need_joins_waits_and_takes() -> None:
    assert policy.decide(LOCK, NEED, GroupFacts(0)).action is Action.JOIN_QUEUE
    assert policy.decide(LOCK, NEED, GroupFacts(0, ahead=0)).action is Action.WAIT_TURN
    assert policy.decide(LOCK, NEED, GroupFacts(1, ahead=0)).action is Action.ACQUIRE


def test_who_is_not_first_gives_those_before_a_head_start() -> None:
    step = policy.decide(LOCK, NEED, GroupFacts(1, ahead=1))
    assert (step.action, step.wait_s) == (Action.WAIT_TURN, HEAD_START_S)
    assert (
        policy.decide(LOCK, NEED, GroupFacts(1, ahead=1, free_for_s=HEAD_START_S)).action
        is Action.ACQUIRE
    )
    assert policy.decide(LOCK, NEED, GroupFacts(2, ahead=1)).action is Action.ACQUIRE


@pytest.mark.parametrize(
    ("group", "why"),
    [
        (GroupFacts(1, 0, pauses=("fleet by me: freeze",)), "freeze"),
        (GroupFacts(1, 0, failures=("web-7",)), "web-7"),
        (GroupFacts(1, 0, corrupt="no number"), "no number"),
    ],
)
def test_what_stops_the_group_takes_a_host_out_of_the_queue(group: GroupFacts, why: str) -> None:
    step = policy.decide(LOCK, NEED, group)
    assert step.action is Action.LEAVE_QUEUE
    assert why in step.waits_for[0]


def test_a_failure_within_the_budget_stops_nobody() -> None:
    rules = Rules(Strategy.ETCD_LOCK, failures_max=2)
    assert policy.decide(rules, NEED, GroupFacts(1, 0, failures=("a",))).action is Action.ACQUIRE
    assert (
        policy.decide(rules, NEED, GroupFacts(1, 0, failures=("a", "b"))).action
        is Action.LEAVE_QUEUE
    )


def test_a_maximum_deferral_overrules_windows_but_no_pause() -> None:
    closed = Calendar(windows=(parse_window("1:00+1h"),))
    rules = Rules(Strategy.ETCD_LOCK, closed, max_deferral=timedelta(days=14))
    late = HostFacts(NOW, ("kernel",), NOW - timedelta(days=14))
    assert policy.decide(rules, NEED, GroupFacts(1, 0)).action is Action.LEAVE_QUEUE
    assert policy.decide(rules, late, GroupFacts(1, 0)).action is Action.ACQUIRE
    assert policy.decide(rules, late, GroupFacts(1, 0, pauses=("x",))).action is Action.LEAVE_QUEUE


def test_an_open_queue_needs_a_store() -> None:
    away = HostFacts(NOW, ("kernel",), NOW, store_away_s=5.0)
    assert policy.decide(LOCK, away, GroupFacts(1, 0)).action is Action.IDLE
    best = Rules(Strategy.BEST_EFFORT, best_effort_wait_s=10.0)
    step = policy.decide(best, away, GroupFacts(1, 0))
    assert (step.action, step.wait_s) == (Action.WAIT_TURN, 5.0)
    longer = HostFacts(NOW, ("kernel",), NOW, store_away_s=10.0)
    assert policy.decide(best, longer, GroupFacts(1, 0)).action is Action.REBOOT_UNLOCKED
    assert (
        policy.decide(Rules(Strategy.REBOOT), away, GroupFacts(0)).action is Action.REBOOT_UNLOCKED
    )


def test_priorities_go_first_then_who_came_first() -> None:
    line = [Waiter("c", 0, 3), Waiter("a", 0, 5), Waiter("z", 9, 8)]
    assert [waiter.id for waiter in queue.ordered(line)] == ["z", "c", "a"]
    assert queue.position(line, "a") == 2
    assert queue.position(line, "nobody") is None


@pytest.mark.parametrize(
    ("phase", "alive_in", "late", "expected"),
    [
        (Phase.HELD, "b1", False, HolderStatus.PREPARING),
        (Phase.REBOOTING, "b1", False, HolderStatus.REBOOTING),
        (Phase.REBOOTING, "b1", True, HolderStatus.REFUSED),
        (Phase.REBOOTING, "", False, HolderStatus.REBOOTING),
        (Phase.REBOOTING, "", True, HolderStatus.LOST),
        (Phase.REBOOTING, "b2", True, HolderStatus.BACK),
        (Phase.FAILED, "b2", True, HolderStatus.FAILED),
    ],
)
def test_a_holder_is_classified(
    phase: Phase, alive_in: str, late: bool, expected: HolderStatus
) -> None:
    deadline = "2026-03-01T11:30:00Z" if late else "2026-03-01T12:30:00Z"
    record = msgspec.structs.replace(RECORD, phase=phase, deadline=deadline)
    beat = Heartbeat("h", alive_in, "", "1") if alive_in else None
    assert holder_status.classify(record, beat, NOW) is expected


def test_a_holder_without_a_record_or_a_deadline_is_never_lost() -> None:
    assert holder_status.classify(None, None, NOW) is HolderStatus.UNKNOWN
    assert holder_status.classify(RECORD, None, NOW + timedelta(days=9)) is HolderStatus.REBOOTING


GRANT = Grant(token=7, boot_id="b1", deadline_s=100.0)
HELD = Semaphore(1, ("h",))


def test_a_grant_stands_while_all_is_as_it_was() -> None:
    assert fence.objection(GRANT, "h", HELD, RECORD, 99.0) is None


@pytest.mark.parametrize(
    ("found", "record", "clock_s", "why"),
    [
        (HELD, RECORD, 100.0, "deadline"),
        (Semaphore(1, ("x",)), RECORD, 0.0, "taken away"),
        (HELD, None, 0.0, "gone"),
        (HELD, msgspec.structs.replace(RECORD, boot_id="b2"), 0.0, "machine-id"),
        (HELD, msgspec.structs.replace(RECORD, token=8), 0.0, "granted again"),
    ],
)
def test_a_grant_that_changed_hands_does_not(
    found: Semaphore, record: HolderRecord | None, clock_s: float, why: str
) -> None:
    objection = fence.objection(GRANT, "h", found, record, clock_s)
    assert objection is not None
    assert why in objection.why
    assert objection.is_ours is (objection is fence.DEADLINE_PASSED)


def test_only_units_that_worked_before_speak_against_a_host() -> None:
    facts = health.HealthFacts(failed_units=("a.service", "b.service"))
    assert health.problems(facts, ("a.service",)) == ("failed since the reboot: b.service",)
    assert health.problems(facts, ("a.service", "b.service")) == ()
    assert "boot-complete" in health.problems(health.HealthFacts(boot_complete=False), ())[0]
