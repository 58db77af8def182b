"""The lifecycle of a real process: start, signals, failures, drain, exit codes."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.processes import Running, python, wait_until

Start = Callable[..., "DaemonProcess"]


class DaemonProcess(Running):
    """A process of `example_daemon`."""

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()

    def wait_for_log(self, text: str) -> None:
        self.wait_for(lambda: self.logged(text), text)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end of the process."""
        wait_until(lambda: self.process.poll() is not None, "the process ends")
        return self.process.wait()

    def ports(self) -> list[int]:
        first = self.log.read_text().splitlines()[0]
        return [int(port) for port in first.split()[1:]]

    def failures(self) -> int:
        return self.log.read_text().count("event=failed")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    daemons: list[DaemonProcess] = []

    def started(name: str, drain_s: float = 10.0, **environment: str) -> DaemonProcess:
        command = python(
            "tests.daemonkit.process.example_daemon", name, str(drain_s), str(tmp_path / "gate")
        )
        daemons.append(DaemonProcess(command, tmp_path / f"{len(daemons)}.log", **environment))
        return daemons[-1]

    yield started
    for daemon in daemons:
        if daemon.process.poll() is None:
            daemon.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_daemon_and_it_exits_with_0(
    start: Start, number: signal.Signals
) -> None:
    daemon = start("serve")
    daemon.wait_for_log("started")
    daemon.signal(number)
    assert daemon.exit_code() == 0
    assert daemon.logged("drained")
    assert not daemon.logged("Traceback")


def test_a_second_signal_cuts_the_drain_short(start: Start) -> None:
    daemon = start("drain-hangs")
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_log("draining")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert daemon.logged("event=drain-cut by=signal")


def test_more_signals_after_the_drain_do_not_change_the_exit_code(start: Start) -> None:
    daemon = start("thread-outlives")
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_log("drained")
    while daemon.process.poll() is None:
        daemon.signal(signal.SIGTERM)
        time.sleep(0.001)
    assert daemon.exit_code() == 0


def test_the_deadline_cuts_the_drain_short(start: Start) -> None:
    daemon = start("drain-hangs", 0.1)
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert daemon.logged("event=drain-cut by=deadline deadline_s=0.1")


def test_the_process_does_not_wait_for_threads_after_the_deadline(start: Start) -> None:
    daemon = start("thread-hangs", 0.1)
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0


def test_a_task_that_ignores_its_cancellation_is_logged_and_abandoned(start: Start) -> None:
    daemon = start("task-is-stubborn")
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert daemon.logged("event=task-does-not-end task=stubborn")


def test_cannot_serve_is_logged_without_a_traceback(start: Start) -> None:
    daemon = start("start-cannot")
    assert daemon.exit_code() == 1
    assert daemon.logged('error="127.0.0.1:80 is taken: choose another address"')
    assert not daemon.logged("Traceback")


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
def test_a_failure_drains_the_daemon_exits_with_1_and_is_logged_once(
    start: Start, name: str, message: str
) -> None:
    daemon = start(name)
    assert daemon.exit_code() == 1
    assert daemon.logged("drained")
    assert daemon.logged(message)
    assert daemon.failures() == 1


def test_the_daemon_exits_with_1_when_its_drain_fails(start: Start) -> None:
    daemon = start("drain-breaks")
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 1
    assert daemon.failures() == 1


def test_a_thread_may_stop_the_daemon(start: Start) -> None:
    assert start("thread-stops").exit_code() == 0


def test_a_signal_during_the_start_stops_the_daemon(start: Start) -> None:
    daemon = start("start-hangs")
    daemon.wait_for_log("starting")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert daemon.logged("drained")


def test_sighup_reloads_the_daemon(start: Start) -> None:
    daemon = start("serve")
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log("reloaded")
    assert daemon.stop() == 0


def test_the_daemon_exits_with_1_when_its_reload_fails(start: Start) -> None:
    daemon = start("reload-breaks")
    daemon.wait_for_log("started")
    daemon.signal(signal.SIGHUP)
    assert daemon.exit_code() == 1
    assert daemon.logged("ValueError: reload broke")


@pytest.fixture
def manager() -> Iterator[tuple[socket.socket, str]]:
    """Listen on a notification socket, as the service manager does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0slashetc-test-{os.getpid()}-{id(sock)}")
        sock.settimeout(10)
        yield sock, "@" + sock.getsockname()[1:].decode()


def messages_until(sock: socket.socket, last: str) -> list[str]:
    """Receive messages up to the first that contains `last`."""
    messages = []
    while not messages or last not in messages[-1]:
        messages.append(sock.recv(4096).decode())
    return messages


def test_the_service_manager_is_notified_of_start_reload_and_stop(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    daemon = start("serve", NOTIFY_SOCKET=address)
    assert messages_until(sock, "READY=1") == ["STATUS=all is well", "READY=1"]
    daemon.signal(signal.SIGHUP)
    reloading, ready = messages_until(sock, "READY=1")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert ready == "READY=1"
    assert daemon.stop() == 0
    assert messages_until(sock, "STOPPING=1") == ["STOPPING=1"]


def test_the_watchdog_is_notified_while_the_loop_runs(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    daemon = start("drain-hangs", 1.0, NOTIFY_SOCKET=address, WATCHDOG_USEC="100000")
    messages_until(sock, "READY=1")
    assert [sock.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
    daemon.signal(signal.SIGTERM)
    messages_until(sock, "STOPPING=1")
    assert sock.recv(100) == b"WATCHDOG=1"  # the loop runs during a drain, too


def test_the_watchdog_of_another_process_is_not_notified(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    daemon = start("serve", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    messages_until(sock, "READY=1")
    assert daemon.stop() == 0
    assert messages_until(sock, "STOPPING=1") == ["STOPPING=1"]


def test_sighup_during_the_start_reloads_the_daemon_after_it_is_ready(
    start: Start, manager: tuple[socket.socket, str], tmp_path: Path
) -> None:
    sock, address = manager
    daemon = start("start-waits", NOTIFY_SOCKET=address)
    daemon.wait_for_log("starting")
    daemon.signal(signal.SIGHUP)
    (tmp_path / "gate").touch()
    assert messages_until(sock, "READY=1") == ["STATUS=all is well", "READY=1"]
    assert len(messages_until(sock, "READY=1")) == 2  # the reload was not lost
    daemon.wait_for_log("reloaded")
    assert daemon.stop() == 0


def test_a_daemon_that_fails_to_start_never_reports_ready(
    start: Start, manager: tuple[socket.socket, str]
) -> None:
    sock, address = manager
    assert start("start-breaks", NOTIFY_SOCKET=address).exit_code() == 1
    assert messages_until(sock, "STOPPING=1") == ["STOPPING=1"]


def test_a_daemon_keeps_running_without_its_service_manager(start: Start) -> None:
    daemon = start("serve", NOTIFY_SOCKET="/nonexistent/notify", WATCHDOG_USEC="100000")
    daemon.wait_for_log("fields=WATCHDOG")
    daemon.wait_for_log("event=notify-failed fields=READY")
    assert daemon.stop() == 0


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


def activated(tmp_path: Path, count: int, *, offset: int = 0) -> DaemonProcess:
    """Start a process as systemd does: with listening sockets from descriptor 3 on."""
    command = python("tests.daemonkit.process.example_daemon", "activated", "10", "-")
    return DaemonProcess(
        [sys.executable, "-c", ACTIVATE, str(offset), *command],
        tmp_path / "activated.log",
        LISTEN_FDS=str(count),
        LISTEN_FDNAMES="web:web:admin",
    )


def test_sockets_passed_by_systemd_are_found_by_name(tmp_path: Path) -> None:
    with activated(tmp_path, 4) as daemon:
        daemon.wait_for_log("started")
        greetings = []
        for port in daemon.ports():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                greetings.append(client.recv(100))
        assert greetings == [b"web", b"web", b"admin", b"unknown"]
        assert daemon.logged("left \n")


def test_sockets_passed_to_another_process_are_ignored(tmp_path: Path) -> None:
    with activated(tmp_path, 1, offset=1) as daemon:
        daemon.wait_for_log("started")
        (port,) = daemon.ports()
        with (
            socket.create_connection(("127.0.0.1", port), timeout=0.2) as client,
            pytest.raises(TimeoutError),
        ):
            client.recv(100)
