"""No instance moves when schedulers are killed between writes or the store's leader changes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.cluster import Cluster
from rig.processes import Running, python, wait_until
from tests.fleet.memory_fleet import Caller, MemoryFleet, memory_fleet

pytestmark = pytest.mark.timeout(240)
# Each scheduler dies one write later than the one before it. With FLEET_DEATHS=25 a dozen die
# before the job ends.
DEATHS = int(os.environ.get("FLEET_DEATHS", "5"))
JOB = "[Service]\nExecStart=/bin/sleep 600\n[X-Fleet]\nCount=3\nUpdate=surge\nUpdateReady=0\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[MemoryFleet]:
    with memory_fleet(tmp_path, schedules=False) as running:
        yield running


def test_a_job_is_finished_though_schedulers_are_killed_between_any_two_writes(
    fleet: MemoryFleet, capsys: pytest.CaptureFixture[str]
) -> None:
    ctl = Caller(fleet, capsys)
    lives = iter(range(2, 2 + DEATHS))
    last = [Running(_mortal(fleet, next(lives)), fleet.directory / "mortal.log")]

    def relieved() -> None:
        """Replace a scheduler that has died; the last one never dies."""
        if last[0].process.poll() is not None:
            assert last[0].process.returncode == -signal.SIGKILL, last[0].tail()
            last[0] = Running(_mortal(fleet, next(lives, -1)), fleet.directory / "mortal.log")

    def reached(what: str) -> bool:
        relieved()
        return what in ctl("status", "web", code=None)

    try:
        ctl("run", ctl.fleet.file("web.service", JOB), "--no-block")
        wait_until(lambda: reached("stable: 1"), "the first version runs", 90)
        assert sorted(fleet.running("fleet-web-")) == ["h1", "h2", "h3"]
        ctl("run", ctl.fleet.file("web.service", JOB + "#\n"), "--no-block")
        wait_until(lambda: reached("stable: 2"), "the second one runs", 90)
        wait_until(lambda: len(fleet.running("fleet-web-")) == 3, "the first one has ended", 60)
        ctl("destroy", "web", "--no-block")
        wait_until(lambda: relieved() or not _keys(fleet), "nothing of it is left", 90)
        assert not fleet.running("fleet-web-")
    finally:
        last[0].kill()


def test_a_new_leader_of_the_store_moves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Cluster(tmp_path) as cluster, MemoryFleet(tmp_path, cluster.endpoints) as fleet:
        ctl = Caller(fleet, capsys)
        ctl("run", fleet.file("web.service", JOB))
        before = {name: units.known() for name, units in fleet.units.items()}
        decided = ctl("events")
        leader = cluster.leader()
        cluster.kill(leader)
        wait_until(lambda: cluster.leader_now() not in (None, leader), "another one leads", 60)
        cluster.start(leader)
        ctl("scale", "web", "4")
        assert ctl("status", "web").count("ready") >= 4
        for name, units in fleet.units.items():
            assert before[name].items() <= units.known().items()
        fresh = ctl("events").removeprefix(decided)
        assert "lost" not in fresh
        assert "stop" not in fresh


def _mortal(fleet: MemoryFleet, writes: int) -> list[str]:
    return python("tests.fleet.mortal_scheduler", fleet.url, str(writes))


def _keys(fleet: MemoryFleet) -> list[str]:
    places = ("/fleet/v1/jobs", "/fleet/v1/units")
    return [entry.key for place in places for entry in fleet.store.list(place).entries]
