"""What a host does next, whose turn it is, what became of a holder, and when a grant stands."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from locksmith.core import fence, health, holder_status, policy, queue
from locksmith.core.fence import Grant
from locksmith.core.holder_status import Verdict
from locksmith.core.policy import Act, Group, Local, Rules
from locksmith.core.queue import STEP_S, Waiter
from locksmith.core.records import Heartbeat, HolderRecord, Phase
from locksmith.core.semaphore import Semaphore
from locksmith.core.strategy import Strategy
from locksmith.core.window import Calendar, parse_window

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEED = Local(NOW, ("kernel",), NOW)
LOCK = Rules(Strategy.ETCD_LOCK)
RECORD = HolderRecord("b1", "h", "2026-03-01T11:00:00Z", Phase.REBOOTING, token=7)


def test_without_a_need_a_host_rests_and_leaves_the_queue() -> None:
    idle = Local(NOW, (), NOW)
    assert policy.next_step(LOCK, idle, Group(1)).act is Act.REST
    assert policy.next_step(LOCK, idle, Group(1, ahead=0)).act is Act.LEAVE


def test_a_need_joins_waits_and_takes() -> None:
    assert policy.next_step(LOCK, NEED, Group(0)).act is Act.JOIN
    assert policy.next_step(LOCK, NEED, Group(0, ahead=0)).act is Act.AWAIT
    assert policy.next_step(LOCK, NEED, Group(1, ahead=0)).act is Act.TAKE


def test_who_is_not_first_gives_those_before_a_head_start() -> None:
    step = policy.next_step(LOCK, NEED, Group(1, ahead=1))
    assert (step.act, step.wait_s) == (Act.AWAIT, STEP_S)
    assert policy.next_step(LOCK, NEED, Group(1, ahead=1, free_for_s=STEP_S)).act is Act.TAKE
    assert policy.next_step(LOCK, NEED, Group(2, ahead=1)).act is Act.TAKE


@pytest.mark.parametrize(
    ("group", "why"),
    [
        (Group(1, 0, pauses=("fleet by me: freeze",)), "freeze"),
        (Group(1, 0, failures=("web-7",)), "web-7"),
        (Group(1, 0, corrupt="no number"), "no number"),
    ],
)
def test_what_stops_the_group_takes_a_host_out_of_the_queue(group: Group, why: str) -> None:
    step = policy.next_step(LOCK, NEED, group)
    assert step.act is Act.LEAVE
    assert why in step.waits_for[0]


def test_a_failure_within_the_budget_stops_nobody() -> None:
    rules = Rules(Strategy.ETCD_LOCK, failures_max=2)
    assert policy.next_step(rules, NEED, Group(1, 0, failures=("a",))).act is Act.TAKE
    assert policy.next_step(rules, NEED, Group(1, 0, failures=("a", "b"))).act is Act.LEAVE


def test_a_maximum_deferral_overrules_windows_but_no_pause() -> None:
    closed = Calendar(windows=(parse_window("1:00+1h"),))
    rules = Rules(Strategy.ETCD_LOCK, closed, max_deferral=timedelta(days=14))
    late = Local(NOW, ("kernel",), NOW - timedelta(days=14))
    assert policy.next_step(rules, NEED, Group(1, 0)).act is Act.LEAVE
    assert policy.next_step(rules, late, Group(1, 0)).act is Act.TAKE
    assert policy.next_step(rules, late, Group(1, 0, pauses=("x",))).act is Act.LEAVE


def test_an_open_queue_needs_a_store() -> None:
    away = Local(NOW, ("kernel",), NOW, store_away_s=5.0)
    assert policy.next_step(LOCK, away, Group(1, 0)).act is Act.REST
    best = Rules(Strategy.BEST_EFFORT, best_effort_wait_s=10.0)
    step = policy.next_step(best, away, Group(1, 0))
    assert (step.act, step.wait_s) == (Act.AWAIT, 5.0)
    longer = Local(NOW, ("kernel",), NOW, store_away_s=10.0)
    assert policy.next_step(best, longer, Group(1, 0)).act is Act.GO
    assert policy.next_step(Rules(Strategy.REBOOT), away, Group(0)).act is Act.GO


def test_priorities_go_first_then_who_came_first() -> None:
    line = [Waiter("c", 0, 3), Waiter("a", 0, 5), Waiter("z", 9, 8)]
    assert [waiter.id for waiter in queue.in_order(line)] == ["z", "c", "a"]
    assert queue.place(line, "a") == 2
    assert queue.place(line, "nobody") is None


@pytest.mark.parametrize(
    ("phase", "alive_in", "late", "expected"),
    [
        (Phase.HELD, "b1", False, Verdict.PREPARING),
        (Phase.REBOOTING, "b1", False, Verdict.REBOOTING),
        (Phase.REBOOTING, "b1", True, Verdict.REFUSED),
        (Phase.REBOOTING, "", False, Verdict.REBOOTING),
        (Phase.REBOOTING, "", True, Verdict.LOST),
        (Phase.REBOOTING, "b2", True, Verdict.BACK),
        (Phase.FAILED, "b2", True, Verdict.FAILED),
    ],
)
def test_a_holder_is_classified(phase: Phase, alive_in: str, late: bool, expected: Verdict) -> None:
    deadline = "2026-03-01T11:30:00Z" if late else "2026-03-01T12:30:00Z"
    record = msgspec.structs.replace(RECORD, phase=phase, deadline=deadline)
    beat = Heartbeat("h", alive_in, "", "1") if alive_in else None
    assert holder_status.of(record, beat, NOW) is expected


def test_a_holder_without_a_record_or_a_deadline_is_never_lost() -> None:
    assert holder_status.of(None, None, NOW) is Verdict.UNKNOWN
    assert holder_status.of(RECORD, None, NOW + timedelta(days=9)) is Verdict.REBOOTING


GRANT = Grant(token=7, boot_id="b1", deadline_s=100.0)
HELD = Semaphore(1, ("h",))


def test_a_grant_stands_while_all_is_as_it_was() -> None:
    assert fence.objection(GRANT, "h", HELD, RECORD, 99.0) == ""


@pytest.mark.parametrize(
    ("found", "record", "clock_s", "why"),
    [
        (HELD, RECORD, 100.0, "deadline"),
        (Semaphore(1, ("x",)), RECORD, 0.0, "taken away"),
        (HELD, None, 0.0, "gone"),
        (HELD, msgspec.structs.replace(RECORD, boot_id="b2"), 0.0, "machine-id"),
        (HELD, msgspec.structs.replace(RECORD, token=8), 0.0, "anew"),
    ],
)
def test_a_grant_that_changed_hands_does_not(
    found: Semaphore, record: HolderRecord | None, clock_s: float, why: str
) -> None:
    assert why in fence.objection(GRANT, "h", found, record, clock_s)


def test_only_units_that_worked_before_speak_against_a_host() -> None:
    facts = health.Facts(failed_units=("a.service", "b.service"))
    assert health.faults(facts, ("a.service",)) == ("failed since the reboot: b.service",)
    assert health.faults(facts, ("a.service", "b.service")) == ()
    assert "boot-complete" in health.faults(health.Facts(boot_complete=False), ())[0]
