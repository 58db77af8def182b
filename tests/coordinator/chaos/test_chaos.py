"""A short run of the chaos test. It must leave nothing behind."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from rig.isolation import require_isolation
from rig.processes import LONG, Running, python, require, wait_until
from tests.coordinator.chaos.watch_check import Event, Watcher, flaws


@pytest.fixture
def can_isolate() -> None:
    """Skip here: the run itself is another process."""
    require_isolation()
    require("ip")


@pytest.mark.usefixtures("can_isolate")
def test_members_under_faults_lose_nothing_and_agree(tmp_path: Path) -> None:
    log = tmp_path / "chaos.log"
    short = python("tests.coordinator.chaos", "--minutes", "0.5", "--longest", "3")
    with Running(short, log) as running:
        code = running.process.wait(110)
    printed = log.read_text()
    assert code == 0, printed
    assert re.match(r"seed \d+, 3 members", printed)
    assert ": right" in printed
    assert "times a member began to lead; processes ended:" in printed


@pytest.mark.usefixtures("can_isolate")
def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    running = Running(python("tests.coordinator.chaos", "--seed", "1"), tmp_path / "chaos.log")
    running.wait_for(lambda: " 0.0" in running.tail(), "the first fault")
    members = _children(running.process.pid)
    assert len(members) >= 3
    os.killpg(running.process.pid, signal.SIGINT)
    running.process.wait(30)
    wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in members), "all ended")
    assert "/run/chaos" not in Path("/proc/mounts").read_text()
    assert "h1" not in subprocess.check_output([require("ip"), "netns", "list"], text=True).split()


@pytest.mark.usefixtures("can_isolate")
def test_members_work_again_soon_after_a_silent_loss(tmp_path: Path) -> None:
    # TCP by itself would send again after 12.6 s and after 102 s.
    loss_s, back_s = (60.0, 2.0) if LONG else (7.0, 3.5)
    log = tmp_path / "loss.log"
    command = python("tests.coordinator.chaos.silent_loss", str(loss_s))
    with Running(command, log) as running:
        code = running.process.wait(loss_s + 90)
    printed = log.read_text()
    assert code == 0, printed
    assert float(printed) < back_s


def test_a_gap_a_repeat_and_a_lost_write_in_a_stream_are_found() -> None:
    events = [Event(n, f"/k{n}", str(n)) for n in range(1, 5)]

    def saw(*indexes: int) -> Watcher:
        return Watcher([], "/", 0, [events[n - 1] for n in indexes])

    assert not flaws([saw(1, 2, 3, 4), saw(1, 2, 3, 4)], events[:2])
    assert flaws([saw(1, 2, 3, 4), saw(1, 2, 4)], [])
    assert flaws([saw(1, 2, 2, 3)], [])
    assert flaws([saw(2, 1, 3)], [])
    assert flaws([saw(1, 3)], [events[1]])


def _children(parent: int) -> list[int]:
    """Return the processes below one, in our numbers."""
    below = [
        int(each)
        for task in Path(f"/proc/{parent}/task").iterdir()
        for each in (task / "children").read_text().split()
    ]
    return [found for each in below for found in (each, *_children(each))]
