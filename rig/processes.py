"""Start real processes for tests on free ports, wait for them with deadlines, and end them."""

import fcntl
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import pytest

from rig import fork_server

ROOT = fork_server.ROOT
T = TypeVar("T")
START_S = 40.0
# With LONG=1 tests use the large counts of a release test.
LONG = bool(os.environ.get("LONG"))
STOP_S = 30.0
# Whether a fork server starts our programs; tests/conftest.py sets it.
FORKS = False


# The Debian packages of programs with another name.
PACKAGES = {
    "dbus-daemon": "dbus",
    "dig": "bind9-dnsutils",
    "dnsmasq": "dnsmasq-base",
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
    "groff": "groff-base",
    "ip": "iproute2",
    "man": "man-db",
    "nginx": "nginx-light",
    "nsenter": "util-linux",
    "ps": "procps",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "systemd-sysusers": "systemd",
    "systemd-tmpfiles": "systemd",
    "umount": "mount",
    "unshare": "util-linux",
}
# Below the ports that Linux gives to outgoing connections, which could take a port first.
PORTS = range(10_000, 32_000)
# The next port for all test processes of this machine. A port stays free until its server starts,
# so it must not be given to two tests.
NEXT_PORT = Path(tempfile.gettempdir()) / "slashetc-tests-next-port"


def free_port() -> int:
    """Return a TCP and UDP port of 127.0.0.1 that is free and was not given to another test."""
    with NEXT_PORT.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or random.SystemRandom().choice(PORTS))
        while not _is_free(port):
            port = _after(port)
        file.truncate(0)
        file.write(str(_after(port)))
    return port


def _after(port: int) -> int:
    return port + 1 if port + 1 in PORTS else PORTS[0]


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(condition: Callable[[], T | None], what: str, deadline_s: float = START_S) -> T:
    """Return the first true value of `condition`, or fail the test and name `what`."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {deadline_s:g} s")
        time.sleep(0.02)
    return value


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Return whether a GET of `url` has status 200. An https URL needs a context."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    except OSError:
        return False


def require(program: str) -> str:
    """Return the path of a program. Without it, skip the test, or fail it in CI."""
    if found := shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return found
    reason = f"{program} is not installed: apt-get install {PACKAGES.get(program, program)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Running:
    """One process; its output goes to a file that a failing wait shows the end of."""

    def __init__(self, command: Sequence[str], log: Path, **environment: str) -> None:
        self.log = log
        variables = variables_of(environment)
        self.process: subprocess.Popen[bytes] | fork_server.ForkedProcess
        with log.open("ab") as out, open(os.devnull, "rb") as nothing:  # noqa: PTH123
            if FORKS and fork_server.can_start(command):
                streams = [nothing.fileno(), out.fileno(), out.fileno()]
                self.process = fork_server.start(command, streams, variables)
            else:
                self.process = subprocess.Popen(
                    command,
                    stdin=nothing,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=variables,
                    start_new_session=True,
                )

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` holds while the process lives."""

        def holds() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"{what}: the process ended early\n{self.tail()}")
            return bool(condition())

        try:
            wait_until(holds, what)
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of what the process printed."""
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """SIGTERM and wait; a process that does not end is killed with its group and fails."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_S)
            pytest.fail(f"did not end on SIGTERM\n{self.tail()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def variables_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of our processes: this one, this project's root, and what is given.

    They may keep compiled modules, as an installed program has them.
    """
    inherited = {**os.environ, "PYTHONPATH": str(ROOT)}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**inherited, **given}


def run(
    command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one of our programs to its end in this project's root, and return its output."""
    variables = variables_of(environment)
    if FORKS and fork_server.can_start(command):
        return fork_server.run(command, variables, stdin=stdin, timeout_s=timeout_s)
    return subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def script(name: str, *arguments: str) -> list[str]:
    """Return the command line of one of our console scripts."""
    return [str(fork_server.PROGRAMS / name), *arguments]


class Etcd(Running):
    """A real one-member etcd with the v2 API, and beside it the v3 API with keys of its own."""

    V2_FLAG = "--enable-v2"

    def __init__(
        self, directory: Path, *arguments: str, context: ssl.SSLContext | None = None
    ) -> None:
        """Start it. A client's `context` makes it serve https: give the files as arguments."""
        program = require("etcd")
        client, peer = free_port(), free_port()
        self.url = f"{_scheme(context)}://127.0.0.1:{client}"
        peer_url = f"http://127.0.0.1:{peer}"
        command = [program, self.V2_FLAG, "--data-dir", str(directory / "etcd")]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
        command += ["--initial-cluster", f"default={peer_url}", "--log-level", "error"]
        super().__init__([*command, *arguments], directory / "etcd.log")
        self.wait_for(lambda: answers(f"{self.url}/health", context), "etcd healthy")


class Etcd3(Etcd):
    """A real one-member etcd with the v3 API alone, as etcd 3.6 is."""

    V2_FLAG = "--enable-v2=false"


class Coordinator(Running):
    """Our one-member coordinator."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        port: int | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Start it. A client's `context` makes it serve https: give the files as arguments."""
        self.url = f"{_scheme(context)}://127.0.0.1:{port or free_port()}"
        command = python("coordinator", "--data-dir", str(directory / "coordinator"))
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        super().__init__([*command, "--status-addr", "", *arguments], directory / "coordinator.log")
        self.wait_for(lambda: answers(f"{self.url}/health", context), "coordinator healthy")


def _scheme(context: ssl.SSLContext | None) -> str:
    return "https" if context is not None else "http"
