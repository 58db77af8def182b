"""Real hosts reboot under load, and a killed drill leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deb.build import built, project_version
from drill.fleet import RunningFleet
from drill.reboot import DrillOptions, drill
from rig.hosts import groups
from rig.hosts.network import require_hosts
from rig.processes import LONG, ROOT, wait_until

# Three hosts boot, two of them reboot: a minute on an idle machine.
pytestmark = pytest.mark.timeout(600)
UNITS = sorted(path.name for path in (ROOT / "systemd/system").iterdir())
# `make reboot-drill` sends more requests and reboots every host.
SHORT = DrillOptions(rate=50.0, rebooting=2 if LONG else 1)


@pytest.fixture(autouse=True)
def can_boot_hosts() -> None:
    """Skip here: a drill is another process, and takes long to come to this."""
    require_hosts()


def test_hosts_reboot_without_a_failed_request(tmp_path: Path) -> None:
    package = built(project_version())
    with RunningFleet(3, tmp_path, package, print) as fleet:
        before = {host.name: host.boot_id() for host in fleet.hosts}
        verdict = drill(fleet, tmp_path, print, SHORT)
        after = {host.name: host.boot_id() for host in fleet.hosts}
        assert [before[name] != boot for name, boot in after.items()] == [True, LONG, False]
        units = [f"/usr/lib/systemd/system/{unit}" for unit in UNITS]
        verify = ["systemd-analyze", "verify", "--man=no", *units]
        assert fleet.hosts[0].run(*verify).stderr == ""
        rendered = fleet.hosts[0].path("/etc/nginx/conf.d/app.conf").read_text()
        assert rendered.count("server 10.77.0.") == 3
    print(verdict.text())
    assert verdict.passed


def test_a_fleet_killed_while_it_boots_leaves_nothing_behind(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-m", "drill", "fleet", "--hosts", "3"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert killed.stdout is not None
    with killed, killed.stdout:
        while "have booted" not in killed.stdout.readline():
            assert killed.poll() is None
        assert list(tmp_path.iterdir())
        os.kill(killed.pid, signal.SIGKILL)
    prefix = f"slashetc-{killed.pid}-"

    def gone() -> bool:
        left = [one for place in groups.hierarchies() for one in place.glob(f"{prefix}*")]
        return not left and not list(tmp_path.iterdir())

    wait_until(gone, "groups and files are gone", 60.0)
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(tmp_path) not in mounts
