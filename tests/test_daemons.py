"""What a service manager expects of every daemon."""

import re
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator, Running, free_port, script

NOWHERE = ["--endpoints", "http://127.0.0.1:1"]
DAEMONS = {
    "coordinator": ["--listen-client-urls", "http://127.0.0.1:0", "--data-dir", "data"],
    "locksmithd": NOWHERE,
    "skydns": ["--addr", "127.0.0.1:0", "--lame-duck", "0", *NOWHERE],
    "confd": ["--confdir", "confdir", "--watch", *NOWHERE],
    "fleetd": ["--scheduler", *NOWHERE],
    "vulcand": ["--port", "0", "--api-port", "0", *NOWHERE],
}


def run(program: str, *arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("program", DAEMONS)
def test_a_daemon_that_cannot_start_exits_with_1_and_logs_the_reason(
    program: str, tmp_path: Path
) -> None:
    (tmp_path / "confdir/conf.d").mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = [*DAEMONS[program], "--status-addr", status]
        done = run(program, *arguments, directory=tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"--status-addr {status}: Address already in use: end the process" in done.stderr
    assert "Traceback" not in done.stderr


LISTENERS = {
    "--listen-client-urls": ("coordinator", "http://127.0.0.1:{}"),
    "--listen-peer-urls": ("coordinator", "http://127.0.0.1:{}"),
    "--addr": ("skydns", "127.0.0.1:{}"),
    "--port": ("vulcand", "{}"),
    "--api-port": ("vulcand", "{}"),
    "--listen": ("locksmith-fleetlock", "127.0.0.1:{}"),
}


@pytest.mark.parametrize("option", LISTENERS)
def test_the_error_for_a_taken_address_names_its_option_and_the_remedy(
    option: str, coordinator: Coordinator, tmp_path: Path
) -> None:
    program, form = LISTENERS[option]
    arguments = {"locksmith-fleetlock": [], **DAEMONS}[program]
    store = [] if program == "coordinator" else ["--endpoints", coordinator.url]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = ["--status-addr", "", *store, option, form.format(port)]
        done = run(program, *arguments, *options, directory=tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"127.0.0.1:{port}: Address already in use: end the process" in done.stderr
    (remedy,) = re.findall(r"or write another address in (.*)", done.stderr)
    assert option in remedy


OPEN = {
    "coordinator": ["--listen-client-urls", "http://0.0.0.0:0", "--data-dir", "data"],
    "vulcand": ["--port", "0", "--api-port", "0", "--api-interface", "0.0.0.0", *NOWHERE],
    "locksmith-fleetlock": ["--listen", "0.0.0.0:0", *NOWHERE],
    "fleetd": ["--scheduler", "--status-addr", "0.0.0.0:0", *NOWHERE],
}


@pytest.mark.parametrize("program", OPEN)
def test_with_require_tls_a_daemon_does_not_listen_beyond_loopback_without_it(
    program: str, coordinator: Coordinator, tmp_path: Path
) -> None:
    given = [coordinator.url if each == NOWHERE[1] else each for each in OPEN[program]]
    if "--status-addr" not in given:
        given += ["--status-addr", ""]
    done = run(program, *given, "--require-tls", directory=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "or start without --require-tls" in done.stderr
    assert "Traceback" not in done.stderr


SECURED = {**DAEMONS, "locksmith-fleetlock": ["--listen", "127.0.0.1:0", *NOWHERE]}


@pytest.mark.parametrize("program", SECURED)
def test_in_a_fleet_a_status_page_answers_no_stranger(program: str, tmp_path: Path) -> None:
    fleet = FleetAuthority(tmp_path / "pki")
    own, viewer = fleet.host("web3"), fleet.user("ann", "viewer")
    (tmp_path / "confdir/conf.d").mkdir(parents=True)
    port = free_port()
    changed = {
        "http://127.0.0.1:0": "https://127.0.0.1:0",
        "confdir": str(tmp_path / "confdir"),
        "data": str(tmp_path / "data"),
    }
    arguments = [changed.get(each, each) for each in SECURED[program]]
    ca = "--trusted-ca-file" if program == "coordinator" else "--ca-file"
    arguments += [ca, str(fleet.ca_file), "--cert-file", str(own.cert), "--key-file", str(own.key)]
    arguments += ["--status-tls", "require", "--revoked-file", str(fleet.revoked_file)]
    command = [*script(program), *arguments, "--status-addr", f"127.0.0.1:{port}"]

    def status(pair: Pair | None, scheme: str = "https") -> int:
        context = ssl.create_default_context(cafile=fleet.ca_file)
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        url = f"{scheme}://127.0.0.1:{port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10, context=context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return refusal.code
        except OSError:
            return 0

    with Running(command, tmp_path / "log") as running:
        running.wait_for(lambda: status(own), "the status page")
        assert [status(own), status(viewer), status(None)] == [200, 200, 401]
        assert [status(fleet.host("web4")), status(None, "http")] == [403, 400]
        running.kill()  # a drain would wait for the store


@pytest.mark.parametrize("program", SECURED)
def test_tls_of_a_status_page_needs_the_files_of_an_identity(program: str, tmp_path: Path) -> None:
    done = run(program, *SECURED[program], "--status-tls", "require", directory=tmp_path)
    assert done.returncode == 2
    assert re.search(r"--status-tls require needs --\S*ca-file, --cert-file and", done.stderr)


@pytest.mark.parametrize("program", DAEMONS)
def test_an_unknown_flag_exits_with_2_and_is_named(program: str, tmp_path: Path) -> None:
    done = run(program, "--no-such-flag", directory=tmp_path)
    assert done.returncode == 2
    assert "--no-such-flag" in done.stderr
