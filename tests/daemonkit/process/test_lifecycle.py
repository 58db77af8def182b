"""The life of a real process: start, signals, failures, drain, exit codes."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.processes import Running, python, wait_until

Start = Callable[..., "Life"]


class Life(Running):
    """A `living` process."""

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def until(self, text: str) -> None:
        self.wait_for(lambda: self.says(text), text)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def code(self) -> int:
        """Wait for the end."""
        wait_until(lambda: self.process.poll() is not None, "the process ends")
        return self.process.wait()

    def ports(self) -> list[int]:
        first = self.log.read_text().splitlines()[0]
        return [int(port) for port in first.split()[1:]]

    def failures(self) -> int:
        return self.log.read_text().count("event=failed")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    lives: list[Life] = []

    def started(name: str, drain_s: float = 10.0, **environment: str) -> Life:
        command = python(
            "tests.daemonkit.process.example_daemon", name, str(drain_s), str(tmp_path / "gate")
        )
        lives.append(Life(command, tmp_path / f"{len(lives)}.log", **environment))
        return lives[-1]

    yield started
    for life in lives:
        if life.process.poll() is None:
            life.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(start: Start, number: signal.Signals) -> None:
    life = start("serve")
    life.until("started")
    life.signal(number)
    assert life.code() == 0
    assert life.says("drained")
    assert not life.says("Traceback")


def test_a_second_signal_cuts_the_drain(start: Start) -> None:
    life = start("drain-hangs")
    life.until("started")
    life.signal(signal.SIGTERM)
    life.until("draining")
    life.signal(signal.SIGTERM)
    assert life.code() == 0
    assert life.says("event=drain-cut by=signal")


def test_a_second_signal_after_the_drain_ends_at_once_with_the_same_code(start: Start) -> None:
    life = start("thread-outlives")
    life.until("started")
    life.signal(signal.SIGTERM)
    life.until("drained")
    while life.process.poll() is None:
        life.signal(signal.SIGTERM)
        time.sleep(0.001)
    assert life.code() == 0


def test_the_deadline_cuts_the_drain(start: Start) -> None:
    life = start("drain-hangs", 0.1)
    life.until("started")
    life.signal(signal.SIGTERM)
    assert life.code() == 0
    assert life.says("event=drain-cut by=deadline deadline_s=0.1")


def test_a_cut_process_does_not_wait_for_its_threads(start: Start) -> None:
    life = start("thread-hangs", 0.1)
    life.until("started")
    life.signal(signal.SIGTERM)
    assert life.code() == 0


def test_a_task_that_does_not_end_is_named_and_left(start: Start) -> None:
    life = start("task-is-stubborn")
    life.until("started")
    life.signal(signal.SIGTERM)
    assert life.code() == 0
    assert life.says("event=task-does-not-end task=stubborn")


def test_a_start_that_cannot_be_says_why_without_a_traceback(start: Start) -> None:
    life = start("start-cannot")
    assert life.code() == 1
    assert life.says('error="127.0.0.1:80 is taken: choose another address"')
    assert not life.says("Traceback")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("start-breaks", "ValueError: start broke"),
        ("start-times-out", "TimeoutError"),
        ("task-fails", "ValueError: task broke"),
        ("callback-fails", "ValueError: callback broke"),
        ("tasks-fail", "broke"),
        ("thread-fails", "disk full"),
    ],
)
def test_a_failure_drains_and_ends_with_1_and_is_logged_once(
    start: Start, name: str, message: str
) -> None:
    life = start(name)
    assert life.code() == 1
    assert life.says("drained")
    assert life.says(message)
    assert life.failures() == 1


def test_a_failing_drain_ends_with_1(start: Start) -> None:
    life = start("drain-breaks")
    life.until("started")
    life.signal(signal.SIGTERM)
    assert life.code() == 1
    assert life.failures() == 1


def test_a_daemon_may_stop_itself_from_a_thread(start: Start) -> None:
    assert start("thread-stops").code() == 0


def test_a_signal_during_the_start_ends_it(start: Start) -> None:
    life = start("start-hangs")
    life.until("starting")
    life.signal(signal.SIGTERM)
    assert life.code() == 0
    assert life.says("drained")


def test_a_hangup_reloads(start: Start) -> None:
    life = start("serve")
    life.until("started")
    life.signal(signal.SIGHUP)
    life.until("reloaded")
    assert life.stop() == 0


def test_a_failing_reload_ends_with_1(start: Start) -> None:
    life = start("reload-breaks")
    life.until("started")
    life.signal(signal.SIGHUP)
    assert life.code() == 1
    assert life.says("ValueError: reload broke")


@pytest.fixture
def manager() -> Iterator[tuple[socket.socket, str]]:
    """The service manager's end of sd_notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0slashetc-test-{os.getpid()}-{id(sock)}")
        sock.settimeout(10)
        yield sock, "@" + sock.getsockname()[1:].decode()


def told(sock: socket.socket, until: str) -> list[str]:
    messages = []
    while not messages or until not in messages[-1]:
        messages.append(sock.recv(4096).decode())
    return messages


def test_the_service_manager_is_told(start: Start, manager: tuple[socket.socket, str]) -> None:
    sock, address = manager
    life = start("serve", NOTIFY_SOCKET=address)
    assert told(sock, "READY=1") == ["STATUS=all is well", "READY=1"]
    life.signal(signal.SIGHUP)
    reloading, ready = told(sock, "READY=1")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert ready == "READY=1"
    assert life.stop() == 0
    assert told(sock, "STOPPING=1") == ["STOPPING=1"]


def test_the_watchdog_hears_that_the_loop_turns(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    life = start("drain-hangs", 1.0, NOTIFY_SOCKET=address, WATCHDOG_USEC="100000")
    told(sock, "READY=1")
    assert [sock.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
    life.signal(signal.SIGTERM)
    told(sock, "STOPPING=1")
    assert sock.recv(100) == b"WATCHDOG=1"  # a drain is no hang


def test_a_watchdog_for_another_process_is_not_ours(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    life = start("serve", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    told(sock, "READY=1")
    assert life.stop() == 0
    assert told(sock, "STOPPING=1") == ["STOPPING=1"]


def test_a_hangup_before_the_start_is_over_says_nothing_of_ready(
    start: Start, manager: tuple[socket.socket, str], tmp_path: Path
) -> None:
    sock, address = manager
    life = start("start-waits", NOTIFY_SOCKET=address)
    life.until("starting")
    life.signal(signal.SIGHUP)
    (tmp_path / "gate").touch()
    assert told(sock, "READY=1") == ["STATUS=all is well", "READY=1"]
    assert len(told(sock, "READY=1")) == 2  # but it counts
    life.until("reloaded")
    assert life.stop() == 0


def test_a_start_that_fails_is_never_ready(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    assert start("start-breaks", NOTIFY_SOCKET=address).code() == 1
    assert told(sock, "STOPPING=1") == ["STOPPING=1"]


def test_a_service_manager_that_is_gone_is_no_reason_to_end(start: Start) -> None:
    life = start("serve", NOTIFY_SOCKET="/nonexistent/notify", WATCHDOG_USEC="100000")
    life.until("fields=WATCHDOG")
    life.until("event=notify-failed fields=READY")
    assert life.stop() == 0


ACTIVATE = """
import os, socket, sys
offset, command = int(sys.argv[1]), sys.argv[2:]
socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(os.environ["LISTEN_FDS"]))]
print("ports", *(sock.getsockname()[1] for sock in socks), flush=True)
for number, sock in enumerate(socks):
    os.dup2(sock.fileno(), 100 + number)
for number in range(len(socks)):
    os.dup2(100 + number, 3 + number)
os.closerange(3 + len(socks), 200)
os.environ["LISTEN_PID"] = str(os.getpid() + offset)
os.execv(command[0], command)
"""


def activated(tmp_path: Path, count: int, *, offset: int = 0) -> Life:
    """Start a process as systemd does: with listening sockets from descriptor 3 on."""
    living = python("tests.daemonkit.process.example_daemon", "activated", "10", "-")
    return Life(
        [sys.executable, "-c", ACTIVATE, str(offset), *living],
        tmp_path / "activated.log",
        LISTEN_FDS=str(count),
        LISTEN_FDNAMES="web:web:admin",
    )


def test_sockets_that_systemd_passes_are_taken_by_name(tmp_path: Path) -> None:
    with activated(tmp_path, 4) as life:
        life.until("started")
        greetings = []
        for port in life.ports():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                greetings.append(client.recv(100))
        assert greetings == [b"web", b"web", b"admin", b"unknown"]
        assert life.says("left \n")


def test_sockets_for_another_process_are_not_taken(tmp_path: Path) -> None:
    with activated(tmp_path, 1, offset=1) as life:
        life.until("started")
        (port,) = life.ports()
        with (
            socket.create_connection(("127.0.0.1", port), timeout=0.2) as client,
            pytest.raises(TimeoutError),
        ):
            client.recv(100)
