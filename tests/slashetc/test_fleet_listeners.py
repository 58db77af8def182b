"""What a host of a fleet that `slashetc init` made answers, and to whom."""

from collections.abc import Iterator

import pytest

from rig.hosts.joined_fleet import JoinedFleet
from rig.hosts.network import Rig
from rig.processes import wait_until

pytestmark = pytest.mark.timeout(300)
STATUS = {
    "coordinator": 2381, "locksmithd": 2382, "skydns": 2383, "confd": 2384, "vulcand": 2385,
    "fleetd": 2386, "slashetc-agent": 2389,
}  # fmt: skip
API = 8182
OWN = "--cacert /etc/slashetc/pki/ca.pem --cert /etc/slashetc/pki/{0}.pem --key {1}"
HOST = OWN.format("host", "/etc/slashetc/pki/host.key")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedFleet]:
    """A fleet of one host."""
    with Rig(tmp_path_factory.mktemp("alone"), "h1") as rig:
        made = JoinedFleet(rig)
        made.make()
        yield made


def status(fleet: JoinedFleet, port: int, path: str, options: str = "-k") -> int:
    """Return the status of a page of the host; 0 if nothing answers."""
    words = (
        f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' {options} https://127.0.0.1:{port}{path}"
    )
    return int(fleet.first.shell(words, check=False))


@pytest.mark.parametrize("daemon", STATUS)
def test_a_status_page_answers_the_host_and_no_local_user(fleet: JoinedFleet, daemon: str) -> None:
    port = STATUS[daemon]
    wait_until(lambda: status(fleet, port, "/metrics", HOST) == 200, f"the page of {daemon}")
    assert status(fleet, port, "/metrics") == 401
    plain = f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/metrics"
    assert fleet.first.shell(plain, check=False) == "400"


def test_vctl_changes_routes_as_its_operator_and_others_do_not(fleet: JoinedFleet) -> None:
    assert status(fleet, API, "/v2/backends") == 401
    assert status(fleet, API, "/v2/backends", HOST) == 200
    write = f"""{HOST} -X POST -d '{{"Backend": {{"Id": "x", "Type": "http"}}}}'"""
    assert status(fleet, API, "/v2/backends", write) == 403
    fleet.do(fleet.first, "vctl backend upsert -id b")
    assert "b" in fleet.do(fleet.first, "vctl backend ls")
    refused = fleet.attempt(
        fleet.first, "runuser -u nobody -- env HOME=/nonexistent vctl backend upsert -id c"
    )
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert fleet.do(fleet.first, "coordctl ls /vulcand/backends") == "/vulcand/backends/b"


def test_a_daemon_does_not_listen_beyond_loopback_without_tls(fleet: JoinedFleet) -> None:
    said = fleet.attempt(fleet.first, "fleetd --scheduler --status-tls off --status-addr 0.0.0.0:0")
    assert said.returncode == 1
    assert "or start without --require-tls" in said.stderr


def test_the_fleet_sees_no_fault_in_a_host_that_answers_no_stranger(fleet: JoinedFleet) -> None:
    def faults() -> str:
        return fleet.attempt(fleet.first, "slashetc status").stdout

    wait_until(lambda: "status page" not in faults(), "slashetc status reads the pages")
