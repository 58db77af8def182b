"""A command that waits says what it waits for."""

from pathlib import Path

import pytest

from rig.processes import Coordinator, run, script
from tests.fleet.memory_fleet import memory_fleet

UNIT = "[Service]\nExecStart=/bin/sleep 600\n[X-Fleet]\nCount=2\n"


def waiting(url: str, directory: Path, text: str) -> str:
    """Return what `run` prints until it gives up."""
    file = directory / "web.service"
    file.write_text(text)
    command = script("fleetctl", "--endpoints", url, "run", str(file), "--timeout", "4")
    done = run(command, timeout_s=60)
    assert done.returncode == 1
    return done.stderr


def test_run_without_hosts_says_that_there_are_none(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as coordinator:
        assert "no host has joined the fleet" in waiting(coordinator.url, tmp_path, UNIT)


def test_run_without_a_scheduler_says_that_nobody_leads(tmp_path: Path) -> None:
    with memory_fleet(tmp_path, schedules=False) as fleet:
        assert "no scheduler leads" in waiting(fleet.url, tmp_path, UNIT)


@pytest.mark.parametrize(
    ("option", "reason"),
    [("Constraint=disk=ssd", "its labels do not match disk=ssd"), ("CPU=500", "needs 500 proc")],
)
def test_run_of_a_job_that_fits_nowhere_says_why(tmp_path: Path, option: str, reason: str) -> None:
    with memory_fleet(tmp_path) as fleet:
        assert reason in waiting(fleet.url, tmp_path, f"{UNIT}{option}\n")
