"""`slashetc doctor` names each defect of a host, beside real daemons."""

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.client import Tls
from coordinator.client.core.endpoint import parse
from rig.cluster import Cluster
from rig.fleet_authority import FleetAuthority
from rig.processes import free_port, require, wait_until
from slashetc.core.doctor.diagnosis import Diagnosis, Verdict
from slashetc.doctor.examination import Examined, examine
from slashetc.doctor.port_probe import UDP, NeededPort
from slashetc.status.fleet_reader import StoreAddress
from tests.skydns.skydns_process import Skydns

SLASHETC = Path(sys.executable).parent / "slashetc"
NOWHERE = "http://127.0.0.1:1"
SUBJECTS = {"name", "clock", "disk", "fsync", "ports", "quorum", "versions"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def examined(tmp_path: Path, endpoints: str = NOWHERE, **more: Any) -> list[Diagnosis]:
    given: dict[str, Any] = {
        "data_dir": tmp_path,
        "directory": tmp_path / "etc",
        "status_ports": {"skydns": free_port()},
        "needed_ports": (),
        **more,
    }
    return examine(Examined(StoreAddress(parse(endpoints), Tls()), 2.0, **given))


def bad(found: Sequence[Diagnosis]) -> dict[str, str]:
    """Return what is not well, by subject."""
    return {each.subject: each.text for each in found if each.verdict is not Verdict.OK}


def describe(tmp_path: Path, *lines: str) -> None:
    """Let the host be in a fleet."""
    (tmp_path / "etc").mkdir(exist_ok=True)
    machine = f'machine = "{"a" * 32}"'
    text = ['fleet = "test"', 'host = "web1"', 'address = "127.0.0.1"', machine, *lines]
    text.append('domain = "test.local"')
    (tmp_path / "etc" / "fleet.toml").write_text("\n".join(text))


def run(
    tmp_path: Path, *words: str, before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [*before, str(SLASHETC), "doctor", "--data-dir", str(tmp_path), *words],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_host_is_judged_before_it_is_in_a_fleet(tmp_path: Path) -> None:
    found = examined(tmp_path)
    assert {each.subject for each in found} == SUBJECTS
    assert not [each for each in found if each.verdict is Verdict.FAIL], found


def test_the_command_prints_verdicts_and_sets_the_exit_code(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = run(tmp_path, "--json", "--endpoints", cluster.endpoints)
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["healthy"] else 1)
    checks = {each["subject"]: each for each in document["checks"]}
    assert checks["quorum"]["verdict"] == "ok"
    assert "3 of 3" in checks["quorum"]["text"]
    assert checks["clock"]["text"].endswith("of the clocks of m1, m2, m3.")
    shown = run(tmp_path, "--endpoints", cluster.endpoints)
    assert "ok    quorum " in shown.stdout
    assert shown.stderr == ""


def test_a_clock_that_is_off_is_named(cluster: Cluster, tmp_path: Path) -> None:
    faketime = require("faketime")
    for offset, way in (("+90s", "behind"), ("-90s", "ahead of")):
        done = run(tmp_path, "--endpoints", cluster.endpoints, before=(faketime, "-f", offset))
        assert done.returncode == 1, done.stderr
        for member in ("m1", "m2", "m3"):
            assert f"The clock of {member} is at least 8" in done.stdout.replace("90.", "89.")
        assert f"s {way} ours." in done.stdout


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("a tmpfs of its own can be mounted by root only")
    try:
        (full / "log").write_bytes(b"x" * (64 << 10))
        found = [each for each in examined(tmp_path, data_dir=full) if each.subject == "disk"]
        assert [each.text for each in found] == [
            f"{full}: No space left on device.",
            f"{full} has 0 free of 64K, which is less than 256M.",
        ]
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_a_port_in_use_is_named_with_its_program(tmp_path: Path) -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as taken,
        socket.socket(type=socket.SOCK_DGRAM) as datagram,
        socket.create_server(("127.0.0.53", 0)) as elsewhere,
    ):
        datagram.bind(("127.0.0.1", 0))
        needed = [
            NeededPort(taken.getsockname()[1], "skydns", "--addr", ("skydns",)),
            NeededPort(datagram.getsockname()[1], "skydns", "--addr", ("skydns",), UDP),
            NeededPort(elsewhere.getsockname()[1], "confd", "", ("confd",)),
            NeededPort(free_port(), "vulcand", "--port", ("vulcand",)),
        ]
        found = [
            each.text for each in examined(tmp_path, needed_ports=needed) if each.subject == "ports"
        ]
    assert len(found) == 2, found
    assert found[0].startswith(f"TCP port {needed[0].port}, which skydns needs, is used by ")
    assert f"(process {os.getpid()})" in found[0]
    assert found[1].startswith(f"UDP port {needed[1].port}")


def test_a_daemon_of_this_host_that_does_not_listen_is_named(tmp_path: Path) -> None:
    describe(tmp_path, "member = true", 'daemons = ["skydns"]')
    needed = [NeededPort(2379, "coordinator", "", ("coordinator",))]
    if shutil.which("ss") and ":2379 " in subprocess.getoutput("ss -ltn"):
        pytest.skip("something listens at the port of the store")
    found = bad(examined(tmp_path, needed_ports=needed))
    assert found["ports"] == "Nothing listens at TCP port 2379, where coordinator should."
    assert found["dns"] == "skydns does not run on this host."
    assert found["quorum"].startswith("No member of the store answers")


def test_a_wrong_mode_an_expired_and_a_revoked_certificate_are_named(tmp_path: Path) -> None:
    describe(tmp_path)
    pki = tmp_path / "etc" / "pki"
    authority = FleetAuthority(pki)
    made = {
        "host": authority.host("web1", age=dt.timedelta(days=3)),
        "skydns": authority.host("web1", daemon="skydns"),
    }
    for name, pair in made.items():
        pair.cert.rename(pki / f"{name}.pem")
        pair.key.rename(pki / f"{name}.key")
        (pki / f"{name}.key").chmod(0o600)
    (pki / "skydns.key").chmod(0o640)
    texts = [each.text for each in examined(tmp_path) if each.subject == "certificates"]
    assert f"{pki}/host.pem has expired 2 days ago." in texts
    assert f"{pki}/skydns.key has the mode 0640: others may use this key." in texts

    authority.revoke("web1")
    (pki / "host.key").write_text("junk")
    texts = [each.text for each in examined(tmp_path) if each.subject == "certificates"]
    assert f"{pki}/skydns.pem is revoked: web1 was evicted from the fleet." in texts
    assert f"{pki}/host.key holds no private key." in texts

    (pki / "revoked.json").write_text("{")
    texts = [each.text for each in examined(tmp_path) if each.subject == "certificates"]
    assert any(text.startswith(f"{pki}/revoked.json: ") for text in texts)


def test_credentials_that_cannot_be_read_are_one_of_the_answers(tmp_path: Path) -> None:
    done = run(tmp_path, "--ca-file", str(tmp_path / "none.pem"), "--endpoints", NOWHERE)
    assert done.returncode == 1
    assert f"fail  certificates  {tmp_path}/none.pem: cannot be read" in done.stdout
    assert "disk" in done.stdout
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    done = run(tmp_path, "--ca-file", str(junk), "--endpoints", "https://127.0.0.1:1")
    assert done.stderr == ""


def test_a_broken_description_of_the_host_is_named(tmp_path: Path) -> None:
    describe(tmp_path, "member = 5")
    assert "fleet.toml" in bad(examined(tmp_path))["fleet"]
    (tmp_path / "etc" / "fleet.toml").write_text("[")
    assert "fleet.toml" in bad(examined(tmp_path))["fleet"]


def test_the_dns_server_of_this_host_is_asked(cluster: Cluster, tmp_path: Path) -> None:
    with Skydns(tmp_path, cluster.endpoints, "--domain", "skydns.local.") as skydns:
        skydns.ready()
        status = int(skydns.status_url.rpartition(":")[2])
        found = examined(tmp_path, cluster.endpoints, status_ports={"skydns": status})
        (dns,) = [each for each in found if each.subject == "dns"]
        assert dns.verdict is Verdict.OK
        assert f"127.0.0.1:{skydns.port}, asked for skydns.local. SOA" in dns.text
    (gone,) = [
        each
        for each in examined(tmp_path, NOWHERE, status_ports={"skydns": status})
        if each.subject == "quorum"
    ]
    assert gone.verdict is Verdict.OK


def test_ports_of_members_are_reached_from_a_member(cluster: Cluster, tmp_path: Path) -> None:
    describe(tmp_path, "member = true")
    found = [each for each in examined(tmp_path, cluster.endpoints) if each.subject == "reach"]
    # Nobody serves a join endpoint here.
    assert {each.text.partition(",")[0] for each in found} == {
        f"The join endpoint of m{number}" for number in (1, 2, 3)
    }
    assert "Connection refused" in found[0].text


def test_a_lost_quorum_is_named(cluster: Cluster, tmp_path: Path) -> None:
    # The last test of this module: it ends the store.
    first, second, third = cluster.members
    cluster.kill(third)
    wait_until(lambda: any(cluster.leader_now() is each for each in (first, second)), "a leader")
    found = bad(examined(tmp_path, cluster.endpoints))
    assert found["quorum"] == "2 of 3 voting members are healthy; 0 more may fail."
    assert third.url in found["reach"]
    cluster.kill(second)
    wait_until(
        lambda: "no quorum" in bad(examined(tmp_path, cluster.endpoints))["quorum"], "no quorum"
    )
    found = bad(examined(tmp_path, cluster.endpoints))
    assert "0 of 3 voting members are healthy, and 2 are needed" in found["quorum"]
