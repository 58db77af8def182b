"""The command line of vulcand."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rig.processes import ROOT, Coordinator, Running, answers, free_port, python, run
from rig.vulcan_site import Client


def run_vulcand(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(python("vulcan", *arguments), timeout_s=30)


def test_help_names_the_options_and_exits_with_0():
    shown = run_vulcand("--help")
    assert shown.returncode == 0
    for option in ("--port", "--api-port", "--interface", "--prefix", "--workers", "--endpoints"):
        assert option in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "70000"], "--port"),
        (["--nonsense"], "--nonsense"),
        (["--workers", "0"], "--workers"),
        (["--endpoints", "ftp://x"], "ftp://x"),
        (["--cert-file", "/dev/null"], "--key-file"),
        (["--status-addr", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_mistake(arguments, complaint):
    done = run_vulcand(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_ends_the_process_with_1_and_the_address(tmp_path: Path):
    with socket.socket() as taken, Coordinator(tmp_path) as store:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ends = ["--api-port", "0", "--status-addr", "", "--endpoints", store.url]
        done = run_vulcand("--port", str(port), *ends)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


def test_vulcands_own_flags_have_the_same_meaning(tmp_path: Path):
    port, api = free_port(), free_port()
    with Coordinator(tmp_path) as store:
        arguments = ["-port", str(port), "-apiPort", str(api), "-interface", "127.0.0.1"]
        arguments += ["-apiInterface", "127.0.0.1", "-etcdKey", "/proxy", "--status-addr", ""]
        command = python("vulcan", *arguments)
        environment = {"VULCAND_ENDPOINTS": store.url}
        with Running(command, tmp_path / "vulcand.log", **environment) as running:
            running.wait_for(lambda: answers(f"http://127.0.0.1:{api}/v2/status"), "the API")
            with Client(port) as client:
                assert client.request("GET / HTTP/1.1\nHost: h").status == 404


# What systemd does: the socket is descriptor 3, and the variables name the started process.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_it_serves_on_a_socket_that_systemd_passes(tmp_path: Path):
    ends = ["--api-port", "0", "--status-addr", "", "--port", "1"]
    with socket.socket() as listening, Coordinator(tmp_path) as store:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        os.set_inheritable(listening.fileno(), True)
        command = [sys.executable, "-c", ACTIVATE, str(listening.fileno()), "-m", "vulcan"]
        with subprocess.Popen(
            [*command, "--endpoints", store.url, *ends],
            close_fds=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        ) as process:
            try:
                with Client(listening.getsockname()[1]) as client:
                    assert client.request("GET / HTTP/1.1\nHost: h").status == 404
            finally:
                process.terminate()
                process.communicate(timeout=20)
            assert process.returncode == 0


def test_an_alias_without_a_replacement_exits_with_2():
    done = run_vulcand("--aliases", 'Host("a")')
    assert done.returncode == 2
    assert "is not TEXT=OTHER" in done.stderr
