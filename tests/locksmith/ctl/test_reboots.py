"""`locksmithctl reboot` and `send-need-reboot`, on real stores."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import Failure, HolderRecord, Pause, Phase
from locksmith.ctl import reboots
from rig import processes
from rig.processes import ROOT, Running, python
from tests.locksmith.ctl.commands import ctl
from tests.locksmith.locksmithd import has, holders, put_semaphore
from tests.locksmith.own_host import own_host

OWN = own_host().machine_id


def test_send_need_reboot_writes_the_sentinel_file(tmp_path: Path) -> None:
    sentinel = tmp_path / "run" / "reboot-required"
    reboots.request_reboot("new kernel", sentinel)
    assert sentinel.read_text().startswith("new kernel, by ")


ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="who is root may reboot")


@dataclass(frozen=True)
class Reboots:
    """Runs `locksmithctl reboot` with hooks of its own and an order that writes a file."""

    url: str
    directory: Path

    @property
    def ordered(self) -> Path:
        return self.directory / "ordered"

    def hook(self, name: str, script: str) -> None:
        path = self.directory / "hooks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def command(self, *arguments: str) -> list[str]:
        hooks = ["--hooks-dir", str(self.directory / "hooks")]
        order = ["--reboot-command", f"touch {self.ordered}"]
        return python("locksmith", "-endpoint", self.url, "reboot", *hooks, *order, *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return processes.run(self.command(*arguments), SUDO_USER="ada")


@pytest.fixture
def reboots_here(url: str, tmp_path: Path) -> Reboots:
    return Reboots(url, tmp_path)


@ROOT_ONLY
def test_reboot_command_drains_the_host_with_the_slot(reboots_here: Reboots) -> None:
    seen = reboots_here.directory / "seen"
    status = " ".join(python("locksmith", "-endpoint", reboots_here.url, "status"))
    reboots_here.hook("pre-reboot.d/drain", f"cd {ROOT} && {status} >{seen}")
    done = reboots_here.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert OWN in seen.read_text()
    assert reboots_here.ordered.exists()
    store = connect(reboots_here.url)
    assert holders(store) == [OWN]
    record = records.decode(store.get(keys.holder("", OWN)).value, HolderRecord)
    assert record is not None
    assert record.phase is Phase.REBOOTING
    assert "rebooting" in ctl(reboots_here.url, "history").stdout


@ROOT_ONLY
def test_reboot_command_undoes_a_failed_drain(reboots_here: Reboots) -> None:
    reboots_here.hook("pre-reboot.d/drain", "echo no spare capacity; exit 1")
    reboots_here.hook("abort.d/undo", f"touch {reboots_here.directory}/undone")
    done = reboots_here.run()
    assert done.returncode == 1
    assert done.stderr.startswith("Error rebooting: hook pre-reboot.d/drain: ")
    assert done.stderr.endswith("; the slot was released\n")
    assert (reboots_here.directory / "undone").exists()
    assert not reboots_here.ordered.exists()
    assert holders(connect(reboots_here.url)) == []


@ROOT_ONLY
@pytest.mark.parametrize("key", [keys.PAUSED_FLEET, keys.paused_group(""), keys.paused_host(OWN)])
def test_reboot_command_obeys_pauses(reboots_here: Reboots, key: str) -> None:
    pause = Pause("freeze", "bob", "2026-01-01T00:00:00Z")
    connect(reboots_here.url).put(key, records.encode(pause))
    done = reboots_here.run()
    assert (done.returncode, done.stderr) == (1, "Error locking: paused by bob: freeze\n")
    assert not reboots_here.ordered.exists()


@ROOT_ONLY
def test_reboot_command_obeys_the_failure_budget(reboots_here: Reboots) -> None:
    failure = Failure("web-7", "boot", "2026-01-01T00:00:00Z", "no disk")
    connect(reboots_here.url).put(keys.failure("", "seven"), records.encode(failure))
    done = reboots_here.run()
    assert done.returncode == 1
    assert "halted: failed hosts: seven" in done.stderr
    assert reboots_here.run("--failure-budget", "2").returncode == 0


@ROOT_ONLY
def test_interrupted_reboot_command_gives_the_slot_back(reboots_here: Reboots) -> None:
    begun = reboots_here.directory / "begun"
    reboots_here.hook("pre-reboot.d/drain", f"touch {begun}; sleep 600")
    with Running(reboots_here.command(), reboots_here.directory / "log") as process:
        process.wait_for(begun.exists, "the drain runs")
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(30) == 1
    assert holders(connect(reboots_here.url)) == []


@ROOT_ONLY
def test_reboot_command_without_a_free_slot_fails(url: str) -> None:
    put_semaphore(connect(url), ["another"], slots=1)
    done = ctl(url, "reboot")
    assert (done.returncode, done.stderr) == (1, "Error locking: semaphore is at 0\n")


def test_refused_reboot_command_releases_the_slot(url: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("who is root may reboot")
    # No bus and no systemctl: the reboot cannot be ordered on any machine.
    nowhere = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none", "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "locksmith", "-endpoint", url, "reboot"],
        cwd=ROOT,
        env=nowhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the slot was released" in done.stderr
    assert holders(connect(url)) == []
    assert not has(connect(url), keys.holder("", OWN))
