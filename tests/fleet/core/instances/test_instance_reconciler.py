"""The passes of an agent, with systemd in memory."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest

from fleet.core.instances.instance_reconciler import (
    FetchUnit,
    InstallUnit,
    InstanceReconciler,
    Observed,
    RemoveUnit,
    StartUnit,
    StopUnit,
)
from fleet.core.instances.instance_unit import fence_of, unit_file_names, unit_files
from fleet.core.model import Allocation, DesiredState, Endpoint, Phase, Plan, Report, digest
from rig.memory_systemd import MemorySystemd

GOOD = "[Service]\nExecStart=/bin/sleep 600\n"
BAD = "[Service]\nExecStart=/bin/false\n"


class Killed(Exception):  # noqa: N818 - what happened to the agent
    pass


class AgentSimulation:
    """An agent's memory and a systemd; the agent is killed after `budget` actions."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.units = MemorySystemd(lambda: self.now_s)
        self.reconciler = InstanceReconciler()
        self.unit_texts = {digest(text): text for text in (GOOD, BAD)}
        self.ready = True
        self.confirmed = True
        self.budget: int | None = None
        self.did: list[str] = []

    def run_pass(self, *allocations: Allocation) -> dict[int, Report]:
        return asyncio.run(self._run_pass(allocations))

    def passes(self, count: int, *allocations: Allocation) -> dict[int, Report]:
        reports: dict[int, Report] = {}
        for _ in range(count):
            reports = self.run_pass(*allocations)
            self.now_s += 1
        return reports

    def restart(self) -> None:
        self.reconciler, self.budget = InstanceReconciler(), None

    async def _run_pass(self, allocations: Iterable[Allocation]) -> dict[int, Report]:
        plan = Plan(1, 1, tuple(allocations))
        seen = await self.units.status([allocation.name for allocation in plan.allocations])
        observed = Observed(
            self.now_s, seen, self.unit_texts, {}, lambda _: self.ready, self.confirmed
        )
        actions, reports = self.reconciler.reconcile(plan, observed)
        for action in actions:
            if self.budget is not None:
                if not self.budget:
                    raise Killed
                self.budget -= 1
            await self._do(action)
        return {report.allocation.version: report for report in reports}

    async def _do(self, action: object) -> None:
        self.did.append(type(action).__name__)
        match action:
            case InstallUnit(allocation):
                await self.units.install(
                    unit_files(allocation, self.unit_texts[allocation.unit], fence_s=30)
                )
            case StartUnit(allocation):
                if allocation.exclusive:
                    await self.units.restart_timer(fence_of(allocation.name))
                await self.units.start(allocation.name)
            case StopUnit(allocation):
                await self.units.stop(allocation.name)
            case RemoveUnit(allocation):
                await self.units.install(unit_file_names(allocation))

    def running(self, *names: str) -> list[str]:
        seen = asyncio.run(self.units.status(names))
        return sorted(name for name, each in seen.items() if each.is_running)


def allocation(version: int = 1, text: str = GOOD, **fields: object) -> Allocation:
    name = str(fields.pop("name", "web.service"))
    return Allocation(
        job="web.service", index=0, version=version, unit=digest(text), rev=1, name=name, **fields
    )


def stopped(known: Allocation) -> Allocation:
    return Allocation(
        **{
            name: getattr(known, name)
            for name in known.__struct_fields__
            if name != "desired_state"
        },
        desired_state=DesiredState.STOP,
    )


def test_an_allocation_is_installed_started_and_becomes_ready() -> None:
    host = AgentSimulation()
    reports = host.passes(4, allocation())
    assert reports[1].phase is Phase.READY
    assert reports[1].available
    assert host.did == ["InstallUnit", "StartUnit"]


def test_a_missing_unit_is_fetched() -> None:
    host = AgentSimulation()
    host.unit_texts.clear()
    reports = host.run_pass(allocation())
    assert (reports[1].phase, host.did) == (Phase.WAITING, [FetchUnit.__name__])


def test_a_unit_in_no_plan_is_an_orphan_and_keeps_running() -> None:
    host = AgentSimulation()
    host.passes(3, allocation())
    reports = host.passes(3)
    assert reports[1].phase is Phase.ORPHAN
    assert host.running("web.service") == ["web.service"]


def test_a_stopped_instance_loses_its_unit_file() -> None:
    host = AgentSimulation()
    host.passes(3, allocation())
    reports = host.passes(4, stopped(allocation()))
    assert reports[1].phase is Phase.STOPPED
    assert host.did[-2:] == ["StopUnit", "RemoveUnit"]


def test_an_instance_leaves_dns_before_it_stops() -> None:
    host = AgentSimulation()
    served = allocation(endpoints=(Endpoint("a.b", 80, 5),))
    host.passes(3, served)
    phases = [host.passes(1, stopped(allocation()))[1].phase for _ in range(8)]
    assert phases[0] is Phase.LEAVING
    assert phases.count(Phase.LEAVING) == 6
    assert phases[6] is Phase.STOPPING


def test_a_successor_of_the_same_name_waits_for_its_predecessor() -> None:
    host = AgentSimulation()
    host.passes(3, allocation())
    new = allocation(2, BAD + "#\n")
    host.unit_texts[new.unit] = GOOD
    reports = host.run_pass(stopped(allocation()), new)
    assert reports[2].phase is Phase.WAITING
    reports = host.passes(6, stopped(allocation()), new)
    assert (reports[1].phase, reports[2].phase) == (Phase.STOPPED, Phase.READY)


def test_failures_are_counted_and_back_off() -> None:
    host = AgentSimulation()
    reports = host.passes(30, allocation(text=BAD))
    assert 4 <= reports[1].failures <= 5
    assert host.did.count("StartUnit") == reports[1].failures


def test_failures_move_with_the_instance() -> None:
    host = AgentSimulation()
    reports = host.passes(10, allocation(failures=5))
    assert reports[1].phase is Phase.FAILED
    reports = host.passes(10, allocation(failures=5))
    assert reports[1].phase is Phase.READY


def test_an_exclusive_unit_waits_until_the_store_confirms_the_plan() -> None:
    host = AgentSimulation()
    host.confirmed = False
    assert host.passes(5, allocation(exclusive=True))[1].phase is Phase.WAITING
    host.confirmed = True
    assert host.passes(2, allocation(exclusive=True))[1].phase is Phase.READY


def test_an_exclusive_unit_stops_without_an_agent() -> None:
    host = AgentSimulation()
    host.passes(3, allocation(exclusive=True))
    host.now_s += 31
    assert host.running("web.service") == []


def test_a_failing_check_makes_an_instance_unready() -> None:
    host = AgentSimulation()
    host.passes(3, allocation(check="tcp", port=80))
    host.ready = False
    assert host.run_pass(allocation(check="tcp", port=80))[1].phase is Phase.UNREADY


def test_a_loaded_unit_is_installed_but_does_not_run() -> None:
    host = AgentSimulation()
    reports = host.passes(3, allocation(desired_state=DesiredState.LOAD))
    assert (reports[1].phase, host.did) == (Phase.LOADED, ["InstallUnit"])


@pytest.mark.parametrize("budget", range(8))
def test_an_agent_killed_between_any_two_actions_continues(budget: int) -> None:
    host = AgentSimulation()
    new = allocation(2, GOOD + "# new\n")
    host.unit_texts[new.unit] = GOOD + "# new\n"
    acts = itertools.chain([(allocation(),)] * 4, [(stopped(allocation()), new)] * 6)
    host.budget = budget
    reports: dict[int, Report] = {}
    for allocations in acts:
        try:
            reports = host.passes(1, *allocations)
        except Killed:
            host.restart()
    assert reports[2].phase is Phase.READY
    assert host.did.count("StartUnit") == 2
    assert host.running("web.service") == ["web.service"]
