"""An agent's turns, with systemd in memory; killed between any two steps it goes on."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest

from fleet.core.instances.instance_reconciler import (
    Around,
    Fetch,
    Following,
    Halt,
    Install,
    Remove,
    Start,
)
from fleet.core.instances.instance_unit import all_files, fence_of, files
from fleet.core.model import Endpoint, Order, Phase, Plan, Report, Want, digest
from rig.memory_systemd import MemoryUnits

GOOD = "[Service]\nExecStart=/bin/sleep 600\n"
BAD = "[Service]\nExecStart=/bin/false\n"


class Killed(Exception):  # noqa: N818 - what happened to the agent
    pass


class Host:
    """An agent's memory and a systemd; `budget` steps from now the agent is killed."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.units = MemoryUnits(lambda: self.now_s)
        self.following = Following()
        self.texts = {digest(text): text for text in (GOOD, BAD)}
        self.ready = True
        self.confirmed = True
        self.budget: int | None = None
        self.did: list[str] = []

    def turn(self, *orders: Order) -> dict[int, Report]:
        return asyncio.run(self._turn(orders))

    def turns(self, count: int, *orders: Order) -> dict[int, Report]:
        reports: dict[int, Report] = {}
        for _ in range(count):
            reports = self.turn(*orders)
            self.now_s += 1
        return reports

    def restart(self) -> None:
        self.following, self.budget = Following(), None

    async def _turn(self, orders: Iterable[Order]) -> dict[int, Report]:
        plan = Plan(1, 1, tuple(orders))
        seen = await self.units.seen([order.name for order in plan.orders])
        around = Around(self.now_s, seen, self.texts, {}, lambda _: self.ready, self.confirmed)
        steps, reports = self.following.turn(plan, around)
        for step in steps:
            if self.budget is not None:
                if not self.budget:
                    raise Killed
                self.budget -= 1
            await self._do(step)
        return {report.order.version: report for report in reports}

    async def _do(self, step: object) -> None:
        self.did.append(type(step).__name__)
        match step:
            case Install(order):
                await self.units.install(files(order, self.texts[order.unit], fence_s=30))
            case Start(order):
                if order.exclusive:
                    await self.units.rearm(fence_of(order.name))
                await self.units.start(order.name)
            case Halt(order):
                await self.units.stop(order.name)
            case Remove(order):
                await self.units.install(all_files(order))

    def running(self, *names: str) -> list[str]:
        seen = asyncio.run(self.units.seen(names))
        return sorted(name for name, each in seen.items() if each.is_running)


def order(version: int = 1, text: str = GOOD, **fields: object) -> Order:
    name = str(fields.pop("name", "web.service"))
    return Order(
        job="web.service", index=0, version=version, unit=digest(text), rev=1, name=name, **fields
    )


def stopped(known: Order) -> Order:
    return Order(
        **{name: getattr(known, name) for name in known.__struct_fields__ if name != "want"},
        want=Want.STOP,
    )


def test_an_order_to_run_is_installed_started_and_ready() -> None:
    host = Host()
    reports = host.turns(4, order())
    assert reports[1].phase is Phase.READY
    assert reports[1].settled
    assert host.did == ["Install", "Start"]


def test_a_unit_that_is_not_here_is_fetched() -> None:
    host = Host()
    host.texts.clear()
    reports = host.turn(order())
    assert (reports[1].phase, host.did) == (Phase.WAITING, [Fetch.__name__])


def test_what_is_in_no_plan_is_an_orphan_and_runs_on() -> None:
    host = Host()
    host.turns(3, order())
    reports = host.turns(3)
    assert reports[1].phase is Phase.ORPHAN
    assert host.running("web.service") == ["web.service"]


def test_an_order_to_stop_ends_it_and_removes_its_file() -> None:
    host = Host()
    host.turns(3, order())
    reports = host.turns(4, stopped(order()))
    assert reports[1].phase is Phase.STOPPED
    assert host.did[-2:] == ["Halt", "Remove"]


def test_an_instance_leaves_dns_before_it_stops() -> None:
    host = Host()
    served = order(endpoints=(Endpoint("a.b", 80, 5),))
    host.turns(3, served)
    phases = [host.turns(1, stopped(order()))[1].phase for _ in range(8)]
    assert phases[0] is Phase.LEAVING
    assert phases.count(Phase.LEAVING) == 6
    assert phases[6] is Phase.STOPPING


def test_a_successor_of_the_same_name_waits_for_its_predecessor() -> None:
    host = Host()
    host.turns(3, order())
    new = order(2, BAD + "#\n")
    host.texts[new.unit] = GOOD
    reports = host.turn(stopped(order()), new)
    assert reports[2].phase is Phase.WAITING
    reports = host.turns(6, stopped(order()), new)
    assert (reports[1].phase, reports[2].phase) == (Phase.STOPPED, Phase.READY)


def test_crashes_back_off_and_are_counted() -> None:
    host = Host()
    reports = host.turns(30, order(text=BAD))
    assert 4 <= reports[1].failures <= 5
    assert host.did.count("Start") == reports[1].failures


def test_failures_travel_with_the_instance() -> None:
    host = Host()
    reports = host.turns(10, order(failures=5))
    assert reports[1].phase is Phase.FAILED
    reports = host.turns(10, order(failures=5))
    assert reports[1].phase is Phase.READY


def test_an_exclusive_unit_waits_for_the_word_of_the_store() -> None:
    host = Host()
    host.confirmed = False
    assert host.turns(5, order(exclusive=True))[1].phase is Phase.WAITING
    host.confirmed = True
    assert host.turns(2, order(exclusive=True))[1].phase is Phase.READY


def test_an_exclusive_unit_ends_without_an_agent() -> None:
    host = Host()
    host.turns(3, order(exclusive=True))
    host.now_s += 31
    assert host.running("web.service") == []


def test_a_check_that_fails_makes_it_unready() -> None:
    host = Host()
    host.turns(3, order(check="tcp", port=80))
    host.ready = False
    assert host.turn(order(check="tcp", port=80))[1].phase is Phase.UNREADY


def test_a_loaded_unit_is_there_and_does_not_run() -> None:
    host = Host()
    reports = host.turns(3, order(want=Want.LOAD))
    assert (reports[1].phase, host.did) == (Phase.LOADED, ["Install"])


@pytest.mark.parametrize("budget", range(8))
def test_an_agent_killed_between_any_two_steps_goes_on(budget: int) -> None:
    host = Host()
    new = order(2, GOOD + "# new\n")
    host.texts[new.unit] = GOOD + "# new\n"
    acts = itertools.chain([(order(),)] * 4, [(stopped(order()), new)] * 6)
    host.budget = budget
    reports: dict[int, Report] = {}
    for orders in acts:
        try:
            reports = host.turns(1, *orders)
        except Killed:
            host.restart()
    assert reports[2].phase is Phase.READY
    assert host.did.count("Start") == 2
    assert host.running("web.service") == ["web.service"]
