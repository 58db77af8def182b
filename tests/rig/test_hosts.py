"""The rig: hosts boot, reboot, lose power and network, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.hosts import groups
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig, require_hosts
from rig.processes import ROOT, answers, wait_until


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rig"), "h1", "h2") as running:
        yield running


def mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


def groups_of(rig_name: str) -> list[Path]:
    return [one for place in groups.hierarchies() for one in place.glob(f"{rig_name}-*")]


def test_every_host_has_its_own_boot_id_machine_id_and_name(rig: Rig) -> None:
    seen = {
        (host.boot_id(), host.shell("cat /etc/machine-id"), host.shell("hostname")) for host in rig
    }
    assert len(seen) == 2
    assert {name for _, _, name in seen} == {"h1", "h2"}
    for host in rig:
        assert host.shell("systemctl is-system-running") == "running"
        assert host.shell("cat /etc/machine-id") == host.machine_id


def test_a_unit_has_processes_while_it_runs(rig: Rig) -> None:
    host = rig["h1"]
    host.shell("systemd-run --quiet --unit=sleeper /bin/sleep 1000")
    assert host.units_with_processes("sleep*") == ["sleeper.service"]
    host.shell("systemctl stop sleeper")
    assert host.units_with_processes("sleep*") == []


def test_a_rebooted_host_has_a_new_boot_id_and_its_old_files(rig: Rig) -> None:
    host, other = rig["h1"], rig["h2"].boot_id()
    before = host.boot_id()
    host.write("/var/lib/kept", "yes")
    assert host.reboot() not in {"", before}
    assert host.path("/var/lib/kept").read_text() == "yes"
    assert rig["h2"].boot_id() == other


def test_a_host_boots_again_after_a_power_cut(rig: Rig) -> None:
    host = rig["h1"]
    before = host.boot_id()
    host.cut_power()
    assert not host.is_on()
    host.power_on()
    assert host.wait_booted() != before


def test_stopping_a_unit_on_one_host_does_not_stop_it_on_another(rig: Rig) -> None:
    for host in rig:
        host.run("systemd-run", "--unit=sleeper", "sleep", "600")
    rig["h1"].run("systemctl", "stop", "sleeper")
    assert rig["h1"].shell("systemctl is-active sleeper", check=False) != "active"
    assert rig["h2"].shell("systemctl is-active sleeper") == "active"


def test_an_unplugged_host_cannot_be_reached(rig: Rig) -> None:
    one, other = rig["h1"], rig["h2"]
    other.run("systemd-run", "--unit=web", "python3", "-m", "http.server", "8000")
    address = rig.forward(other.address, 8000)
    wait_until(lambda: answers(f"http://{address}/"), "the test reaches the host")
    ask = f"exec timeout 2 bash -c 'exec 3<>/dev/tcp/{other.address}/8000'"
    assert one.run("bash", "-c", ask, check=False).returncode == 0
    other.unplug()
    assert one.run("bash", "-c", ask, check=False).returncode != 0
    other.plug()
    wait_until(lambda: one.run("bash", "-c", ask, check=False).returncode == 0, "plugged again")


def test_every_host_has_our_programs_and_units(rig: Rig) -> None:
    for host in rig:
        assert "locksmithctl version" in host.shell("locksmithctl --version")
        assert "/usr/bin/locksmithd" in host.shell("systemctl cat locksmithd")
        assert host.shell("id -un locksmith") == "locksmith"
        sealed = ["systemd-run", "--pipe", "--wait", "--property=ProtectHome=yes"]
        assert "version" in host.run(*sealed, "locksmithctl", "--version").stdout


def test_a_store_on_the_host_network_serves_the_hosts_and_the_test(
    rig: Rig, tmp_path: Path
) -> None:
    url = f"http://{GATEWAY}:2379"
    command = [sys.executable, "-m", "coordinator", "--data-dir", str(tmp_path / "data")]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url, "--status-addr", ""]
    store = subprocess.Popen(rig.on_network(*command), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        near = rig.forward(GATEWAY, 2379)
        wait_until(lambda: answers(f"http://{near}/health"), "the store is reached")
        rig["h1"].run("coordctl", "--endpoints", url, "set", "/greeting", "hello")
        with urllib.request.urlopen(f"http://{near}/v2/keys/greeting", timeout=5) as reply:
            assert json.load(reply)["node"]["value"] == "hello"
    finally:
        store.terminate()
        store.wait(15)


def test_a_closed_rig_leaves_no_process_group_file_or_mount(tmp_path: Path) -> None:
    before = mounts()
    with Rig(tmp_path, "h1", install=False) as rig:
        pid, state = rig["h1"].init_pid, rig.spaces.state
        assert groups_of(rig.name)
    assert not Path(f"/proc/{pid}").exists()
    assert not list(state.iterdir())
    assert not groups_of(rig.name)
    assert mounts() == before


def test_the_rig_of_a_killed_test_is_cleaned_up(tmp_path: Path) -> None:
    require_hosts()
    script = (
        "import sys, time, pathlib; from rig.hosts.network import Rig\n"
        "with Rig(pathlib.Path(sys.argv[1]), 'h1', install=False) as rig:\n"
        "    print(rig.name, rig['h1'].init_pid, rig.spaces.state, flush=True); time.sleep(600)\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    with killed, killed.stdout:
        name, pid, state = killed.stdout.readline().split()
        os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the host ended")

    def removed() -> bool:
        groups.sweep()
        return not groups_of(name)

    wait_until(removed, "its groups are removed")
    assert not list(Path(state).iterdir())
