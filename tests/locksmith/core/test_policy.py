"""What a host that needs a reboot does next."""

from datetime import UTC, datetime, timedelta

import pytest

from locksmith.core import policy
from locksmith.core.policy import Action, GroupFacts, HostFacts, Rules, Strategy
from locksmith.core.queue import HEAD_START_S
from locksmith.core.window import Calendar, parse_window

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEED = HostFacts(NOW, ("kernel",), NOW)
LOCK = Rules(Strategy.ETCD_LOCK)


def test_host_without_a_reason_stays_idle_and_leaves_the_queue() -> None:
    idle = HostFacts(NOW, (), NOW)
    assert policy.decide(LOCK, idle, GroupFacts(1)).action is Action.IDLE
    assert policy.decide(LOCK, idle, GroupFacts(1, ahead=0)).action is Action.LEAVE_QUEUE


def test_host_joins_the_queue_then_waits_then_acquires() -> None:
    assert policy.decide(LOCK, NEED, GroupFacts(0)).action is Action.JOIN_QUEUE
    assert policy.decide(LOCK, NEED, GroupFacts(0, ahead=0)).action is Action.WAIT_TURN
    assert policy.decide(LOCK, NEED, GroupFacts(1, ahead=0)).action is Action.ACQUIRE


def test_host_waits_for_the_head_start_of_the_hosts_before_it() -> None:
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
def test_host_leaves_the_queue_when_its_group_is_blocked(group: GroupFacts, why: str) -> None:
    step = policy.decide(LOCK, NEED, group)
    assert step.action is Action.LEAVE_QUEUE
    assert why in step.waits_for[0]


def test_failures_within_the_budget_block_no_reboot() -> None:
    rules = Rules(Strategy.ETCD_LOCK, failures_max=2)
    assert policy.decide(rules, NEED, GroupFacts(1, 0, failures=("a",))).action is Action.ACQUIRE
    assert (
        policy.decide(rules, NEED, GroupFacts(1, 0, failures=("a", "b"))).action
        is Action.LEAVE_QUEUE
    )


def test_maximum_deferral_overrides_windows_but_not_pauses() -> None:
    closed = Calendar(windows=(parse_window("1:00+1h"),))
    rules = Rules(Strategy.ETCD_LOCK, closed, max_deferral=timedelta(days=14))
    late = HostFacts(NOW, ("kernel",), NOW - timedelta(days=14))
    assert policy.decide(rules, NEED, GroupFacts(1, 0)).action is Action.LEAVE_QUEUE
    assert policy.decide(rules, late, GroupFacts(1, 0)).action is Action.ACQUIRE
    assert policy.decide(rules, late, GroupFacts(1, 0, pauses=("x",))).action is Action.LEAVE_QUEUE


def test_queue_needs_a_reachable_store() -> None:
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
