"""One suite for every driver: in memory, D-Bus and systemctl."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from fleet.core.instances.instance_unit import (
    EXCLUSIVE_STOP_S,
    UnitStatus,
    allocation_in,
    fence_of,
    unit_file_names,
    unit_files,
)
from fleet.core.model import Allocation, InvalidRecord, decode, digest, encode
from fleet.systemd.dbus import DBusDriver
from fleet.systemd.driver import SystemdDriver
from fleet.systemd.systemctl import SystemctlDriver
from fleet.systemd.unit_dir import UnitDirectory
from rig.hosts.network import Rig
from rig.memory_systemd import MemorySystemd

SLEEPER = "[Service]\nExecStart=/bin/sleep 600\n"
DEADLINE_S = 15.0
Act = Callable[[SystemdDriver], Awaitable[None]]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("units"), "h1", install=False) as running:
        yield running


@pytest.fixture(params=["memory", "dbus", "systemctl"])
def play(request: pytest.FixtureRequest) -> Callable[[Act], None]:
    """Run an act with an adapter that is open, and close it."""

    def adapter() -> SystemdDriver:
        if request.param == "memory":
            return MemorySystemd(time.monotonic)
        host = request.getfixturevalue("rig")["h1"]
        directory = UnitDirectory(host.path("/run/systemd/system"))
        if request.param == "dbus":
            return DBusDriver(directory, f"unix:path={host.path('/run/dbus/system_bus_socket')}")
        return SystemctlDriver(directory, host.command("systemctl"))

    async def played(act: Act) -> None:
        units = adapter()
        await units.open()
        try:
            await act(units)
        finally:
            await units.close()

    return lambda act: asyncio.run(played(act))


def allocation(job: str, *, text: str = SLEEPER, **fields: object) -> Allocation:
    about = {"job": job, "unit": digest(text), "name": job, **fields}
    return Allocation(index=0, version=1, rev=1, **about)


async def until(units: SystemdDriver, name: str, holds: Callable[[UnitStatus], bool]) -> UnitStatus:
    end_s = time.monotonic() + DEADLINE_S
    while True:
        seen = (await units.status([name])).get(name, UnitStatus(name))
        if holds(seen):
            return seen
        assert time.monotonic() < end_s, seen
        await units.wait_for_change(0.5)


async def gone(units: SystemdDriver, mine: Allocation) -> None:
    await units.stop(mine.name)
    await until(units, mine.name, lambda seen: not seen.is_running)
    await units.install(unit_file_names(mine))


def test_an_unknown_unit_is_not_found(play: Callable[[Act], None]) -> None:
    async def act(units: SystemdDriver) -> None:
        seen = (await units.status(["nobody.service"]))["nobody.service"]
        assert (seen.load, seen.active, seen.allocation) == ("not-found", "inactive", None)

    play(act)


def test_a_unit_is_installed_started_stopped_and_removed(play: Callable[[Act], None]) -> None:
    async def act(units: SystemdDriver) -> None:
        mine = allocation("sleeper.service", port=8080)
        await units.install(unit_files(mine, SLEEPER, fence_s=5))
        seen = (await units.status([mine.name]))[mine.name]
        assert (seen.load, seen.active, seen.allocation, seen.foreign) == (
            "loaded", "inactive", mine, "",
        )  # fmt: skip
        await units.start(mine.name)
        seen = await until(units, mine.name, lambda seen: seen.active == "active")
        assert len(seen.invocation) == 32
        assert mine.name in await units.status([])
        await gone(units, mine)
        assert mine.name not in await units.status([])

    play(act)


def test_a_failed_unit_shows_its_result(play: Callable[[Act], None]) -> None:
    async def act(units: SystemdDriver) -> None:
        text = "[Service]\nExecStart=/bin/false\n"
        mine = allocation("dies.service", text=text)
        await units.install(unit_files(mine, text, fence_s=5))
        await units.start(mine.name)
        seen = await until(units, mine.name, lambda seen: seen.active == "failed")
        assert seen.result == "exit-code"
        first = seen.invocation
        await units.start(mine.name)
        seen = await until(
            units, mine.name, lambda seen: seen.active == "failed" and seen.invocation != first
        )
        assert seen.invocation
        await gone(units, mine)

    play(act)


def test_a_timer_stops_a_unit_unless_it_is_restarted(
    play: Callable[[Act], None],
) -> None:
    async def act(units: SystemdDriver) -> None:
        mine = allocation("only.service", exclusive=True)
        await units.install(unit_files(mine, SLEEPER, fence_s=1.5))
        await units.restart_timer(fence_of(mine.name))
        await units.start(mine.name)
        await until(units, mine.name, lambda seen: seen.active == "active")
        for _ in range(5):
            await asyncio.sleep(0.5)
            await units.restart_timer(fence_of(mine.name))
            assert (await units.status([mine.name]))[mine.name].is_running
        began_s = time.monotonic()
        await until(units, mine.name, lambda seen: not seen.is_running)
        assert time.monotonic() - began_s > 1.0
        await gone(units, mine)

    play(act)


def test_an_exclusive_unit_does_not_start_once_its_timer_has_elapsed(
    play: Callable[[Act], None],
) -> None:
    async def act(units: SystemdDriver) -> None:
        mine = allocation("late.service", exclusive=True)
        await units.install(unit_files(mine, SLEEPER, fence_s=0.5))
        await units.restart_timer(fence_of(mine.name))
        await asyncio.sleep(1.5)
        await units.start(mine.name)
        await asyncio.sleep(0.5)
        seen = await until(units, mine.name, lambda seen: not seen.is_running)
        assert seen.active == "inactive"
        await units.install(unit_files(mine, SLEEPER, fence_s=60))
        await units.restart_timer(fence_of(mine.name))
        await units.start(mine.name)
        await until(units, mine.name, lambda seen: seen.active == "active")
        await units.stop(fence_of(mine.name))
        await gone(units, mine)

    play(act)


def test_the_steps_of_an_exclusive_units_stop_share_its_bound() -> None:
    def stop_s(*more: str) -> float:
        text = SLEEPER + "\n".join([*more, ""])
        found = unit_files(allocation("only.service", text=text, exclusive=True), text, fence_s=5)
        return float(found["only.service"].partition("TimeoutStopSec=")[2].partition("\n")[0])

    assert stop_s() == EXCLUSIVE_STOP_S
    assert stop_s("ExecStop=/bin/a", "ExecStop=/bin/b") * 3 <= EXCLUSIVE_STOP_S + 0.01
    assert stop_s("ExecStop=/bin/a", "ExecStopPost=/bin/b") * 4 <= EXCLUSIVE_STOP_S


def test_a_command_runs_in_its_own_unit_and_returns_output_and_exit_code(
    rig: Rig,
) -> None:
    host = rig["h1"]
    units = SystemctlDriver(
        UnitDirectory(host.path("/run/systemd/system")), host.command("systemctl")
    )
    script = "cat /proc/self/cgroup; exit 7"
    done = subprocess.run(
        units.command_in_unit(["sh", "-c", script], 20),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 7
    assert "fleet.slice/run-" in done.stdout
    endless = units.command_in_unit(["sleep", "600"], 1)
    assert subprocess.run(endless, capture_output=True, timeout=30, check=False).returncode


def test_a_unit_that_fleet_did_not_write_is_foreign(rig: Rig) -> None:
    async def act() -> None:
        host = rig["h1"]
        directory = UnitDirectory(host.path("/run/systemd/system"))
        for units in (
            DBusDriver(directory, f"unix:path={host.path('/run/dbus/system_bus_socket')}"),
            SystemctlDriver(directory, host.command("systemctl")),
        ):
            await units.open()
            seen = await units.status(["dbus.service"])
            await units.close()
            assert seen["dbus.service"].foreign.endswith("/dbus.service")

    asyncio.run(act())


def test_a_missing_systemd_is_an_os_error(tmp_path: Path) -> None:
    async def act() -> None:
        with pytest.raises(OSError):
            await DBusDriver(UnitDirectory(tmp_path), f"unix:path={tmp_path}/none").open()
        with pytest.raises(OSError):
            await SystemctlDriver(UnitDirectory(tmp_path), ["/bin/false"]).open()

    asyncio.run(act())


def test_a_unit_file_holds_its_allocation_and_a_job_cannot_forge_one() -> None:
    mine = allocation("web.service", port=80, endpoints=())
    text = unit_files(mine, SLEEPER, fence_s=5)["web.service"]
    assert allocation_in(text) == mine
    assert allocation_in(SLEEPER) is None
    assert text.index("Slice=fleet.slice") < text.index("ExecStart=") < text.index("PORT=80")


@pytest.mark.parametrize(
    "name", ["a@b@c.service", ":x.timer", "a\\x2db.mount", "_.target", f"{'n' * 247}.service"]
)
def test_a_name_that_a_plan_may_hold_can_be_asked_for(
    play: Callable[[Act], None], name: str
) -> None:
    decode(encode(allocation("web.service", name=name)), Allocation)

    async def act(units: SystemdDriver) -> None:
        assert set(await units.status(["other.service", name])) >= {"other.service", name}

    play(act)


@pytest.mark.parametrize("name", ["x y.service", "a@.service", "plain", "é.service", "x.service\n"])
def test_a_name_that_systemd_refuses_is_none_that_a_plan_may_hold(name: str) -> None:
    with pytest.raises(InvalidRecord):
        decode(encode(allocation("web.service", name=name)), Allocation)


def test_a_file_in_the_unit_directory_that_is_named_after_no_unit_is_left_out(
    tmp_path: Path,
) -> None:
    mine = allocation("sleeper.service")
    text = unit_files(mine, SLEEPER, fence_s=5)[mine.name]
    for name in (mine.name, "x y.service"):
        (tmp_path / name).write_text(text)
    assert UnitDirectory(tmp_path).allocations() == {mine.name: mine}
