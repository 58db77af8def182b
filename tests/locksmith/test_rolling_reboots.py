"""Three hosts with a real systemd that all need a reboot: they reboot one at a time."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from coordinator.client import connect
from coordinator.client.core.store_protocol import Store
from locksmith.core import keys, records
from locksmith.core.records import GroupEvent
from rig.hosts.host import Host
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig
from rig.processes import ROOT, answers, wait_until

URL = f"http://{GATEWAY}:2379"
ROUND_S = 60.0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rig"), "h1", "h2", "h3") as running:
        yield running


@pytest.fixture(scope="module")
def store(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A coordinator on the host network; the hosts reach it at URL."""
    data = tmp_path_factory.mktemp("store")
    command = [sys.executable, "-m", "coordinator", "--data-dir", str(data)]
    command += ["--listen-client-urls", URL, "--advertise-client-urls", URL, "--status-addr", ""]
    process = subprocess.Popen(rig.on_network(*command), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        near = f"http://{rig.forward(GATEWAY, 2379)}"
        wait_until(lambda: answers(f"{near}/health"), "the store is reached")
        for host in rig:
            settings = f"LOCKSMITHD_ENDPOINTS={URL}\nLOCKSMITHD_SETTLE=1s\n"
            host.write("/etc/default/locksmithd", settings + "LOCKSMITHD_PROBE=none\n")
            host.run("systemctl", "enable", "--now", "slashetc.target", "locksmithd")
        yield connect(near)
    finally:
        process.terminate()
        process.wait(30)


def holders(store: Store) -> list[str]:
    return json.loads(store.get(keys.semaphore("")).value)["holders"] or []


def history(store: Store) -> list[GroupEvent]:
    entries = store.list(keys.HISTORY).entries
    found = [(entry.created, records.decode(entry.value, GroupEvent)) for entry in entries]
    return [one for _, one in sorted(found, key=lambda pair: pair[0]) if one is not None]


def back(host: Host, before: str) -> bool:
    return bool(host.init_pid) and host.boot_id() not in {"", before}


def test_three_hosts_reboot_one_at_a_time(rig: Rig, store: Store) -> None:
    before = {host.name: host.boot_id() for host in rig}
    index = store.list(keys.PREFIX).index
    for host in rig:
        host.run("touch", "/run/reboot-required")
    wait_until(lambda: all(back(host, before[host.name]) for host in rig), "all rebooted", ROUND_S)
    healthy = {host.name for host in rig}

    def all_healthy() -> bool:
        return {one.host for one in history(store) if one.event == "healthy"} == healthy

    wait_until(all_healthy, "all are healthy", ROUND_S)
    wait_until(lambda: not holders(store), "every slot is back")
    most, granted, released = 0, [], []
    with store.watch(keys.semaphore(""), index) as watch:
        held: set[str] = set()
        for event in watch:
            entry = getattr(event, "entry", None)
            if entry is None:
                continue
            now = set(json.loads(entry.value)["holders"] or [])
            granted += sorted(now - held)
            released += sorted(held - now)
            most, held = max(most, len(now)), now
            if len(released) == 3:
                break
    assert most == 1
    assert sorted(granted) == sorted(host.machine_id for host in rig)
    for host in rig:
        assert not host.path("/run/reboot-required").exists()
        entries = host.shell("journalctl --no-pager --output=json LOCKSMITH_EVENT=healthy")
        assert json.loads(entries.splitlines()[-1])["LOCKSMITH_ID"] == host.machine_id


def why(host: Host) -> str:
    return host.run("locksmithctl", "-endpoint", URL, "why", host.name, check=False).stdout


def test_inhibitor_blocks_a_host_until_it_ends(rig: Rig, store: Store) -> None:
    host = rig["h1"]
    before = host.boot_id()
    inhibit = ["systemd-inhibit", "--what=shutdown", "--mode=block", "--who=tape", "--why=writes"]
    host.run("systemd-run", "--unit=tape", *inhibit, "sleep", "600")
    host.run("touch", "/run/reboot-required")
    wait_until(lambda: "inhibited by tape: writes" in why(host), "the inhibitor is named", 60.0)
    assert host.boot_id() == before
    host.run("systemctl", "stop", "tape")
    wait_until(lambda: back(host, before), "it reboots", ROUND_S)
    wait_until(lambda: not holders(store), "the slot is back", ROUND_S)


def test_host_with_a_failed_service_after_the_reboot_keeps_its_slot(rig: Rig, store: Store) -> None:
    host, other = rig["h2"], rig["h3"]
    before = host.boot_id()
    settings = host.path("/etc/default/locksmithd").read_text()
    host.write("/etc/default/locksmithd", settings + "LOCKSMITHD_HEALTHY_TIMEOUT=3s\n")
    service = "[Service]\nType=oneshot\nExecStart=/bin/test -e /good\n"
    service += "[Install]\nWantedBy=multi-user.target\n"
    host.write("/etc/systemd/system/app.service", service)
    host.run("systemctl", "enable", "app")
    host.run("systemctl", "restart", "locksmithd")
    host.run("touch", "/run/reboot-required")
    wait_until(lambda: back(host, before), "it reboots", ROUND_S)
    wait_until(lambda: "Slot: failed" in why(host), "the failure is shown", ROUND_S)
    assert holders(store) == [host.machine_id]
    assert "app.service" in why(host)
    other.run("touch", "/run/reboot-required")
    wait_until(lambda: "halted" in why(other), "the group is halted", ROUND_S)
    other.run("rm", "/run/reboot-required")
    host.write("/good", "")
    host.run("systemctl", "start", "app")
    host.run("locksmithctl", "-endpoint", URL, "resume")
    wait_until(lambda: not holders(store), "the slot is back", ROUND_S)
