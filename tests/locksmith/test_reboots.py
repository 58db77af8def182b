"""Three hosts with a real systemd: told to reboot at once, they go one at a time."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from coordinator.client import connect
from coordinator.client.store import Store
from locksmith import keys, records
from locksmith.records import Happening
from tests.hosts.host import Host
from tests.hosts.rig import GATEWAY, Rig
from tests.rig import ROOT, answers, wait_until

URL = f"http://{GATEWAY}:2379"
ROUND_S = 90.0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rig"), "h1", "h2", "h3") as running:
        yield running


@pytest.fixture(scope="module")
def store(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A coordinator beside the hosts; its URL there is URL."""
    data = tmp_path_factory.mktemp("store")
    command = [sys.executable, "-m", "coordinator", "--data-dir", str(data)]
    command += ["--listen-client-urls", URL, "--advertise-client-urls", URL, "--status-addr", ""]
    process = subprocess.Popen(rig.beside(*command), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        near = f"http://{rig.dial(GATEWAY, 2379)}"
        wait_until(lambda: answers(f"{near}/health"), "the store is reached")
        for host in rig:
            settings = f"LOCKSMITHD_ENDPOINTS={URL}\nLOCKSMITHD_SETTLE=1s\n"
            host.write("/etc/default/locksmithd", settings + "LOCKSMITHD_PROBE=none\n")
            host.run("systemctl", "enable", "--now", "slashetc.target", "locksmithd")
        yield connect(near)
    finally:
        process.terminate()
        process.wait(15)


def holders(store: Store) -> list[str]:
    return json.loads(store.get(keys.semaphore("")).value)["holders"] or []


def history(store: Store) -> list[Happening]:
    entries = store.list(keys.HISTORY).entries
    found = [(entry.created, records.decode(entry.value, Happening)) for entry in entries]
    return [one for _, one in sorted(found, key=lambda pair: pair[0]) if one is not None]


def back(host: Host, before: str) -> bool:
    return bool(host.leader) and host.boot_id() not in {"", before}


def test_three_hosts_told_at_once_reboot_one_at_a_time(rig: Rig, store: Store) -> None:
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
