"""`locksmithctl reboot` and `send-need-reboot`, on real stores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.client import connect
from locksmith.core import keys
from locksmith.ctl import reboots
from locksmith.host import identity
from rig.processes import ROOT
from tests.locksmith.ctl.commands import ctl
from tests.locksmith.locksmithd import has, holders, put_semaphore

OWN = identity.read().machine_id


def test_send_need_reboot_writes_the_sentinel_file(tmp_path: Path) -> None:
    sentinel = tmp_path / "run" / "reboot-required"
    reboots.request_reboot("new kernel", sentinel)
    assert sentinel.read_text().startswith("new kernel, by ")


@pytest.mark.skipif(os.geteuid() != 0, reason="who is root may reboot")
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
