"""A supervisor updates its workers, counts their requests, replaces and stops them."""

import contextlib
import json
import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemonkit.process import supervisor
from rig.processes import Running, python, run, wait_until
from tests.daemonkit.http.live_server import Client, get, post
from tests.daemonkit.process.supervising_daemon import DaemonOptions


class SupervisorProcess(Running):
    """A process of `supervising_daemon`, controlled by a test."""

    def __init__(self, directory: Path, **values: Any) -> None:
        directory.mkdir()
        self.options = DaemonOptions(str(directory), **values)
        encoded = msgspec.json.encode(self.options).decode()
        super().__init__(
            python("tests.daemonkit.process.supervising_daemon", encoded), directory / "daemon.log"
        )

    def ready(self) -> "SupervisorProcess":
        def all_ready() -> bool:
            with contextlib.suppress(OSError):  # it does not listen yet
                return self.ask("ready") is True
            return False

        self.wait_for(all_ready, "all workers are ready")
        return self

    def ports(self) -> dict[str, int]:
        ports: dict[str, int] = json.loads(Path(self.options.notes, "ports").read_text())
        return ports

    @property
    def port(self) -> int:
        return self.ports()["web"]

    def ask(self, what: str) -> Any:
        url = f"http://127.0.0.1:{self.ports()['control']}/{what}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def pids(self) -> list[int]:
        pids: list[int] = self.ask("pids")
        return pids

    def notes(self, pid: int) -> dict[str, Any]:
        notes: dict[str, Any] = json.loads(Path(self.options.notes, str(pid)).read_text())
        return notes

    def wait_for_numbers(self, count: int) -> None:
        """Wait until every worker has received the numbers below `count`, once and in order."""
        expected = list(range(count))
        self.wait_for(
            lambda: all(self.notes(pid)["numbers"] == expected for pid in self.pids()),
            f"{count} numbers arrive",
        )

    def wait_for_replacement(self, pid: int) -> int:
        """Wait for the worker that replaces `pid`; return its process id."""
        others = set(self.pids()) - {pid}
        self.wait_for(
            lambda: pid not in self.pids() and len(self.pids()) == self.options.count,
            "the worker is replaced",
        )
        self.ready()
        (new,) = set(self.pids()) - others
        return new

    def request(self) -> int:
        """Send one request; return the process id of the worker that answered."""
        with Client(self.port) as client:
            return int(client.ask(get(b"/", b"Connection: close")).body)

    def cpu_s(self) -> float:
        ticks = 0
        for pid in (self.process.pid, *self.pids()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def gone(pid: int) -> bool:
    """Return whether a process has ended and was reaped."""
    return not Path(f"/proc/{pid}").exists()


def zombies(parent: int) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent_id, *_ = stat.read_text().rpartition(")")[2].split()
            if state == "Z" and int(parent_id) == parent:
                found.append(stat.parent.name)
    return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., SupervisorProcess]]:
    daemons: list[SupervisorProcess] = []

    def started(**values: Any) -> SupervisorProcess:
        daemons.append(SupervisorProcess(tmp_path / str(len(daemons)), **values))
        return daemons[-1]

    yield started
    for each in daemons:
        if each.process.poll() is None:
            each.stop()


def test_a_worker_gets_the_state_and_then_each_change_in_order(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon().ready()
    running.ask("publish/3/0")
    running.wait_for_numbers(3)
    running.ask("publish/200/100")
    running.wait_for_numbers(203)
    assert {running.notes(pid)["resets"] for pid in running.pids()} == {1}


def test_both_workers_serve_the_shared_socket(daemon: Callable[..., SupervisorProcess]) -> None:
    running = daemon().ready()
    for stopped in running.pids():
        (other,) = set(running.pids()) - {stopped}
        os.kill(stopped, signal.SIGSTOP)
        assert {running.request() for _ in range(5)} == {other}
        os.kill(stopped, signal.SIGCONT)


def test_a_killed_worker_is_replaced_and_catches_up(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon().ready()
    running.ask("publish/5/0")
    running.wait_for_numbers(5)
    victim = running.pids()[0]
    os.kill(victim, signal.SIGKILL)
    running.ask("publish/5/0")
    new = running.wait_for_replacement(victim)
    running.ask("publish/5/0")
    running.wait_for_numbers(15)
    assert running.notes(new)["resets"] == 1
    assert running.ask("samples")["worker_restarts_total"] == 1
    assert gone(victim)


def test_counters_never_decrease(daemon: Callable[..., SupervisorProcess]) -> None:
    running = daemon().ready()

    def counted() -> float:
        samples = running.ask("samples")
        return float(samples.get("test_requests_total", 0))

    for _ in range(10):
        running.request()
    running.wait_for(lambda: counted() == 10, "ten requests are counted")
    for pid in running.pids():
        os.kill(pid, signal.SIGKILL)
    running.wait_for(lambda: counted() >= 10 and running.ask("ready"), "new workers are ready")
    seen = [counted()]
    for _ in range(5):
        running.request()
    running.wait_for(lambda: seen.append(counted()) or seen[-1] == 15, "five more are counted")
    assert seen == sorted(seen)
    # A gauge counts only the workers that run.
    running.wait_for(
        lambda: running.ask("samples").get("test_workers") == 2, "both workers are counted"
    )
    assert running.ask("samples")["worker_restarts_total"] == 2


def test_a_worker_that_hangs_is_killed_and_replaced(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(count=1, hang_s=1.0).ready()
    victim = running.pids()[0]
    with Client(running.port) as client:
        client.send(get(b"/hang"))
        new = running.wait_for_replacement(victim)
    assert "event=worker-hangs worker=0" in running.tail()
    assert running.request() == new


def test_a_stopped_supervisor_does_not_take_its_workers_for_hanging(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(hang_s=0.5).ready()
    pids = running.pids()
    running.process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + 1.5  # the duration of the stop is what is tested
    wait_until(lambda: time.monotonic() > end, "three hang times pass")
    running.process.send_signal(signal.SIGCONT)
    running.ask("publish/1/0")
    running.wait_for_numbers(1)
    assert running.pids() == pids
    assert "worker-hangs" not in running.tail()


def test_the_restart_delay_of_a_worker_that_exits_at_once_doubles(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(count=1, mode="exits", restart_s=0.02)
    running.wait_for(lambda: running.tail().count("event=worker-ended") >= 3, "three exits")
    delays = [float(found) for found in re.findall(r"code=3 .*next_s=([\d.]+)", running.tail())]
    assert delays[:3] == pytest.approx([0.04, 0.08, 0.16])
    assert running.stop() == 0
    assert "Traceback" not in running.tail()


def test_workers_are_replaced_sooner_while_none_of_them_serves(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running, times = daemon(count=2, restart_s=supervisor.RESTART_S_MAX).ready(), 4
    began = time.monotonic()
    for _ in range(times):
        victims = running.pids()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        running.wait_for(
            lambda: len(set(running.pids()) - set(victims)) == 2,  # noqa: B023 - called at once
            "both workers replaced",
        )
        running.ready()
    assert time.monotonic() - began < times * supervisor.RESTART_S_MAX


def test_a_worker_that_fails_on_a_change_is_replaced(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(count=1).ready()
    victim = running.pids()[0]
    running.ask("poison")
    running.wait_for_replacement(victim)
    assert "ValueError: poisoned" in running.tail()
    assert "event=worker-ended worker=0 code=1" in running.tail()


def test_a_worker_that_sends_a_malformed_message_is_replaced(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(mode="sends-garbage", count=1).ready()
    before = running.request()
    assert running.wait_for_replacement(before) != before
    assert "event=worker-not-understood" in running.log.read_text()


def test_workers_exit_when_their_supervisor_is_killed(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon().ready()
    pids = running.pids()
    running.kill()
    wait_until(lambda: all(map(gone, pids)), "the workers end")
    daemon(port=running.port).ready()  # the port is free


def test_a_worker_without_a_supervisor_cuts_its_own_drain_short(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(mode="drain-hangs").ready()
    pids = running.pids()
    running.kill()
    wait_until(lambda: all(map(gone, pids)), "the workers end")


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it came as the socket was being closed
    return False


@pytest.mark.parametrize("whole_group", [False, True], ids=["supervisor", "whole group"])
def test_a_drain_waits_for_the_requests_of_its_workers(
    daemon: Callable[..., SupervisorProcess], whole_group: bool
) -> None:
    """systemd signals every process of a service; so does a terminal at Ctrl-C."""
    running = daemon().ready()
    pids = running.pids()
    with Client(running.port) as client:
        client.send(post(b"abc", b"Expect: 100-continue")[:-3])
        assert client.answer().status == 100
        for pid in pids if whole_group else []:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        # A new connection in the backlog of a draining daemon would hang and then fail.
        running.wait_for(lambda: refuses(running.port), "new connections are refused")
        assert int(client.ask(b"abc").body) in pids
    assert running.process.wait(30) == 0
    assert all(map(gone, pids))
    assert "worker-ended" not in running.tail()
    assert "drain-cut" not in running.tail()


def test_workers_that_do_not_drain_are_killed_at_the_deadline(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(mode="drain-hangs", drain_s=0.3).ready()
    pids = running.pids()
    assert running.stop() == 0
    wait_until(lambda: all(map(gone, pids)), "the workers are gone")
    assert "event=drain-cut by=deadline" in running.tail()


def test_a_worker_receives_a_large_state(daemon: Callable[..., SupervisorProcess]) -> None:
    size = 50_000_000
    running = daemon(state_bytes=size).ready()
    running.ask("publish/1/0")
    running.wait_for_numbers(1)
    assert {running.notes(pid)["bytes"] for pid in running.pids()} == {size}


def test_a_worker_that_falls_too_far_behind_gets_the_whole_state_again(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(behind_bytes_max=300_000).ready()
    slow, quick = running.pids()
    os.kill(slow, signal.SIGSTOP)
    for number in range(9, 300, 10):
        running.ask("publish/10/10000")
        running.wait_for(
            lambda last=number: running.notes(quick)["numbers"][-1:] == [last],
            "the other worker receives it",
        )
    os.kill(slow, signal.SIGCONT)
    running.wait_for_numbers(300)
    assert running.notes(slow)["resets"] == 2
    assert running.notes(quick)["resets"] == 1


def test_replacing_workers_leaks_no_descriptors_and_no_zombies(
    daemon: Callable[..., SupervisorProcess],
) -> None:
    running = daemon(count=1).ready()
    before = running.ask("fds")
    for _ in range(4):
        victim = running.pids()[0]
        os.kill(victim, signal.SIGKILL)
        running.wait_for_replacement(victim)
    running.wait_for(lambda: running.ask("fds") <= before, "no more descriptors than before")
    assert zombies(running.process.pid) == []


def test_idle_workers_use_almost_no_cpu(daemon: Callable[..., SupervisorProcess]) -> None:
    running = daemon(poll_s=1.0).ready()
    began_s, used_s = time.monotonic(), running.cpu_s()
    wait_until(lambda: time.monotonic() > began_s + 1.0, "a second passes")
    assert running.cpu_s() - used_s < 0.3


def test_a_worker_started_by_hand_exits_with_2() -> None:
    done = run(python("tests.daemonkit.process.counting_worker"))
    assert done.returncode == 2
    assert "started by its daemon" in done.stderr
