"""A plan may hold anything that its types allow: an agent lives with it."""

import json
from collections.abc import Iterator

import pytest

from fleet.core.endpoints import endpoint_records
from fleet.core.instances.allocation_check import misfit
from fleet.core.instances.instance_reconciler import InstanceReconciler, Observed, leave_s
from fleet.core.instances.instance_unit import UnitStatus, allocation_in, unit_files
from fleet.core.model import HostStatus, InvalidRecord, Plan, decode, encode
from tests.fleet.core.scheduling.test_poison_records import (
    HOST,
    TEXT,
    VALUES,
    full,
    healthy,
    places,
    poisoned,
)

PLAN = full(next(text for key, text in healthy().items() if key.endswith("/inbox/plan")))
VALUES_OF_PLANS = (*VALUES, '"run"', '"load"', '"stop"', '"a\\u2028b.service"', '"-x.service"')


def plans() -> Iterator[Plan]:
    """Yield every plan with one other value that is still a plan."""
    twice = json.loads(PLAN)
    twice["orders"] *= 2
    for text in (PLAN, json.dumps(twice)):
        for path in places(json.loads(text)):
            for value in VALUES_OF_PLANS:
                try:
                    yield decode(poisoned(text, path, value), Plan)
                except InvalidRecord:
                    continue


def follow(plan: Plan, active: str) -> None:
    """Do what an agent does with a plan, without systemd."""
    reconciler, unit_texts = InstanceReconciler(), {each.unit: TEXT for each in plan.allocations}
    units = {
        each.name: UnitStatus(each.name, "loaded", active, allocation=each)
        for each in plan.allocations
    }
    for now_s in (1.0, 1000.0):
        observed = Observed(now_s, units, unit_texts, {}, lambda _: True)
        _, reports = reconciler.reconcile(plan, observed)
        status = HostStatus("boot", plan.epoch, plan.gen, reports)
        assert decode(encode(status), HostStatus) == status
        endpoint_records(reports, "10.0.0.1", HOST)


@pytest.mark.parametrize("active", ["active", "inactive", "failed"])
def test_an_agent_follows_any_plan_that_is_valid(active: str) -> None:
    seen = 0
    for plan in plans():
        follow(plan, active)
        seen += 1
    assert seen > 100


def test_the_files_of_a_unit_hold_nothing_of_a_plan_that_systemd_reads_as_another_line() -> None:
    for plan in plans():
        for allocation in plan.allocations:
            if misfit(allocation, TEXT):
                continue
            files = unit_files(allocation, TEXT, fence_s=30)
            (text,) = files.values()
            assert set(files) == {allocation.name}
            assert allocation_in(text) == allocation
            own = [line for line in text.split("\n") if line not in TEXT.split("\n")]
            starts = ("[", "Slice=", "Environment=", "Order=", "RemainAfterExit=")
            assert all(line.startswith(starts) for line in own if line)


def test_no_ttl_keeps_an_instance_from_stopping() -> None:
    assert max(leave_s(each) for plan in plans() for each in plan.allocations) <= 3601
