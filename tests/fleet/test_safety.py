"""Safety on real hosts: no exclusive unit twice, no second leader, no reboot that is noticed."""

import json
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from coordinator.client.core.errors import KeyNotFound
from fleet.ctl.arguments import REBOOT_DRAIN_S
from rig.hostfleet import STORE, HostFleet, fleet
from rig.hosts.host import Host
from rig.processes import LONG, ROOT, wait_until

pytestmark = pytest.mark.timeout(300)
SLEEPER = "[Service]\nExecStart=/bin/sleep 100000\n"
ONLY = "fleet-only-0-*"
LEASE_S = 15.0
SEMAPHORE = "/coreos.com/updateengine/rebootlock/semaphore"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostFleet]:
    options = {"agent_ttl": "5", "grace": "20"}
    with fleet(tmp_path_factory.mktemp("safety"), "h1", "h2", "h3", "h4", **options) as running:
        yield running


class Witness:
    """Looks at a unit on all hosts, all the time, past the network and the agents."""

    def __init__(self, hosts: HostFleet) -> None:
        self._hosts, self._end = hosts, threading.Event()
        self.most, self.looks = 0, 0
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._end.wait(0.005):
            self.most = max(self.most, len(self._hosts.with_processes(ONLY)))
            self.looks += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def only(hosts: HostFleet) -> Host:
    """Return the one host with the exclusive unit."""
    found = wait_until(lambda: hosts.active(ONLY), "it runs", 60)
    assert len(found) == 1
    return hosts.rig[next(iter(found))]


def test_an_exclusive_unit_never_runs_twice_when_its_host_is_cut_off(hosts: HostFleet) -> None:
    text = SLEEPER + "[X-Fleet]\nCount=1\nExclusive=yes\nConstraint=hostname in (h3,h4)\n"
    hosts.ctl("run", hosts.file("only.service", text))
    for kills_agent in (False, True) if LONG else (True,):
        _cut_off(hosts, only(hosts), kills_agent=kills_agent)
    hosts.ctl("destroy", "only.service")


def _cut_off(hosts: HostFleet, here: Host, *, kills_agent: bool) -> None:
    with Witness(hosts) as witness:
        if kills_agent:
            here.shell("systemctl kill -s KILL fleetd; systemctl mask --runtime --now fleetd")
        here.unplug()
        wait_until(lambda: here.name not in hosts.with_processes(ONLY), "its timer stops it", 40)
        there = wait_until(lambda: hosts.with_processes(ONLY), "it runs elsewhere", 60)
        assert here.name not in there
        here.plug()
        if kills_agent:
            here.shell("systemctl unmask --runtime fleetd; systemctl start fleetd")
        heard = ("list-machines", "--no-legend", "--fields", "hostname")
        wait_until(lambda: here.name in hosts.ctl(*heard).split(), "it is back", 30)
        looks = witness.looks
        wait_until(lambda: witness.looks > looks + 600, "it stays as it is")
    assert witness.most == 1


def test_a_scheduler_suspended_past_its_lease_changes_nothing(hosts: HostFleet) -> None:
    hosts.ctl("run", hosts.file("calm.service", SLEEPER + "[X-Fleet]\nCount=2\n"))
    before = hosts.active("fleet-calm-*")
    epoch = int(hosts.store.get("/fleet/v1/epoch").value)
    leader = str(hosts.values("/fleet/v1/leader")["/fleet/v1/leader"]["holder"])
    host = hosts.rig[leader.partition("-")[0]]
    pid = host.shell("systemctl show -p MainPID --value fleetd")
    host.shell(f"kill -STOP {pid}")
    try:
        wait_until(
            lambda: int(hosts.store.get("/fleet/v1/epoch").value) > epoch, "another leads", 60
        )
        hosts.ctl("run", hosts.file("late.service", SLEEPER + "[X-Fleet]\nCount=1\n"), "--no-block")
    finally:
        host.shell(f"kill -CONT {pid}")
    hosts.ctl("run", hosts.file("late.service", SLEEPER + "[X-Fleet]\nCount=1\n"))
    newest = int(hosts.store.get("/fleet/v1/epoch").value)
    later = str(hosts.values("/fleet/v1/leader")["/fleet/v1/leader"]["holder"])
    assert (newest, later != leader) == (epoch + 1, True)
    assert hosts.active("fleet-calm-*") == before
    hosts.ctl("destroy", "calm.service", "late.service")


@pytest.mark.timeout(600)
def test_locksmith_drains_before_a_reboot_and_waits_until_instances_are_ready(
    hosts: HostFleet,
) -> None:
    text = SLEEPER + "[X-Fleet]\nCount=4\nMinAvailable=4\n"
    hosts.ctl("run", hosts.file("busy.service", text))
    slow = "[Service]\nType=oneshot\nExecStart=/bin/sleep 4\nRemainAfterExit=yes\n"
    hosts.ctl("run", hosts.file("each.service", slow + "[X-Fleet]\nGlobal=yes\n"))
    pinned = SLEEPER + "[X-Fleet]\nCount=1\nConstraint=hostname=h4\n"
    if LONG:  # its drain takes until its deadline
        hosts.ctl("run", hosts.file("pinned.service", pinned))
    host = hosts.rig["h4"]
    for hook in ("pre-reboot.d", "abort.d", "healthy.d"):
        place = ROOT / "systemd/locksmith" / hook / "50-fleet"
        host.write(f"/etc/locksmith/{hook}/50-fleet", place.read_text(), 0o755)
    settings = f"LOCKSMITHD_ENDPOINTS={STORE}\nFLEETCTL_ENDPOINTS={STORE}\n"
    settings += "LOCKSMITHD_SETTLE=1s\nLOCKSMITHD_PROBE=none\n"
    host.write("/etc/default/locksmithd", settings)
    host.run("systemctl", "enable", "--quiet", "slashetc.target", "fleetd", "locksmithd")
    host.run("systemctl", "start", "locksmithd")
    before = host.boot_id()
    host.run("touch", "/run/reboot-required")
    wait_until(lambda: bool(_holders(hosts)), "it has the slot", 60)
    wait_until(lambda: "h4" not in hosts.active("fleet-busy-*"), "it is drained", 90)
    rebooted_s = REBOOT_DRAIN_S + 120 if LONG else 120
    wait_until(
        lambda: host.init_pid and host.boot_id() not in ("", before), "it rebooted", rebooted_s
    )
    assert _holders(hosts)
    wait_until(lambda: not _holders(hosts), "the slot is back", 120)
    assert "h4" in hosts.active("each.service")
    assert "drained" not in hosts.ctl("hosts")
    assert sum(map(len, hosts.active("fleet-busy-*").values())) == 4
    assert "h4 is being drained" in hosts.ctl("events", "--lines", "500")
    hosts.ctl("destroy", "busy.service", "each.service")
    if LONG:
        assert set(hosts.active("fleet-pinned-*")) == {"h4"}
        assert "it starts again when the drain ends" in hosts.ctl("events", "--lines", "500")
        hosts.ctl("destroy", "pinned.service")


def _holders(hosts: HostFleet) -> list[str]:
    try:
        found = json.loads(hosts.store.get(SEMAPHORE).value)
    except KeyNotFound:
        return []
    return list(found["holders"] or ())
