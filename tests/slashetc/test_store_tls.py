"""`slashetc store-tls` on the members of a plain cluster that serves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.client import HttpStore, Tls
from rig.fleet_authority import FleetAuthority
from rig.processes import ROOT, Running, answers, free_port, run, script, wait_until
from tests.coordinator.store_load import Load

# What systemd does for the unit: it reads the variables, and starts the member again when it ends.
SUPERVISOR = """
while true; do
  set -a; . "$1/environment"; set +a
  "$2" -m coordinator &
  echo $! >"$1/pid.new"; mv "$1/pid.new" "$1/pid"
  wait
  rm -f "$1/pid"
  test -e "$1/over" && exit 0
done
"""
# What `systemctl restart` does: it ends the process, and returns when there is another one.
SYSTEMCTL = """#!/bin/sh
echo "$@" >>"$UNIT/systemctl"
old=$(cat "$UNIT/pid")
kill -TERM "$old"
until new=$(cat "$UNIT/pid" 2>/dev/null) && [ "$new" != "$old" ]; do sleep 0.05; done
"""


@dataclass
class Host:
    """A host with one member, in a directory."""

    directory: Path
    client: str
    peer: str

    @property
    def environment(self) -> Path:
        return self.directory / "environment"

    def store_tls(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = script("slashetc", "store-tls", *arguments)
        path = f"{self.directory.parent}:{os.environ['PATH']}"
        return run(
            [*command, "--environment", str(self.environment)],
            PATH=path,
            UNIT=str(self.directory),
        )


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    found = [
        Host(tmp_path / f"h{number}", f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
        for number in range(1, 4)
    ]
    initial = ",".join(f"{each.directory.name}=http://{each.peer}" for each in found)
    for each in found:
        each.directory.mkdir()
        lines = {
            "NAME": each.directory.name,
            "DATA_DIR": each.directory / "data",
            "LISTEN_CLIENT_URLS": f"http://{each.client}",
            "INITIAL_ADVERTISE_PEER_URLS": f"http://{each.peer}",
            "INITIAL_CLUSTER": initial,
            "STATUS_ADDR": f"127.0.0.1:{free_port()}",
            "HEARTBEAT_INTERVAL": 50,
            "ELECTION_TIMEOUT": 500,
        }
        text = "".join(f"COORDINATOR_{name}={value}\n" for name, value in lines.items())
        each.environment.write_text(text)
    running = [
        Running(
            ["sh", "-c", f"cd {ROOT}; {SUPERVISOR}", "sh", str(each.directory), sys.executable],
            each.directory / "log",
        )
        for each in found
    ]
    try:
        yield found
    finally:
        for each in found:
            (each.directory / "over").touch()
        for host, one in zip(found, running, strict=True):
            if (pid := host.directory / "pid").exists():
                os.kill(int(pid.read_text()), 15)
            one.process.wait(20)


def test_each_command_changes_one_member_and_no_client_notices(
    hosts: list[Host], tmp_path: Path
) -> None:
    fleet = FleetAuthority(tmp_path / "pki")
    web = fleet.host("web3")
    tls = Tls(str(fleet.ca_file), str(web.cert), str(web.key))
    plain, secure = (
        ",".join(f"{scheme}://{each.client}" for each in hosts) for scheme in ("http", "https")
    )
    for each in hosts:
        wait_until(lambda one=each: answers(f"http://{one.client}/health"), "healthy")  # type: ignore[misc]

    def all_are(mode: str, *arguments: str) -> None:
        for each in hosts:
            own = fleet.member(each.directory.name)
            files = ["--member-cert", own.cert, "--member-key", own.key, "--member-ca"]
            given = [*map(str, files), str(fleet.ca_file)] if arguments else []
            done = each.store_tls(mode, *given)
            assert (done.returncode, f"--tls {mode}" in done.stdout) == (0, True), done

    refused = hosts[0].store_tls("require")
    assert (refused.returncode, "give --member-cert" in refused.stderr) == (1, True)
    with Load("plain").on(plain):
        all_are("prefer", "with certificates")
        with HttpStore(secure, tls) as store:
            store.put("/a", "1")
    with Load("secure").on(secure, tls):
        all_are("require")
        again = hosts[0].store_tls("require")
        assert "had already" in again.stdout
        early = hosts[0].store_tls("off")
        assert (early.returncode, "store-tls prefer` on that host first" in early.stderr) == (
            1,
            True,
        )
    restarts = (hosts[0].directory / "systemctl").read_text().splitlines()
    assert restarts == ["restart coordinator.service"] * 2
