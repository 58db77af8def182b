"""Worker processes: fed, counted, replaced, and gone when they shall be."""

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

from rig.processes import Running, python, run, wait_until
from tests.daemonkit.http.live_server import Client, get, post
from tests.daemonkit.process.supervising_daemon import Plan


class SupervisingDaemon(Running):
    """A supervisor, as its tests steer it."""

    def __init__(self, directory: Path, **wishes: Any) -> None:
        directory.mkdir()
        self.plan = Plan(str(directory), **wishes)
        wish = msgspec.json.encode(self.plan).decode()
        super().__init__(
            python("tests.daemonkit.process.supervising_daemon", wish), directory / "daemon.log"
        )

    def ready(self) -> "SupervisingDaemon":
        def all_ready() -> bool:
            with contextlib.suppress(OSError):  # it does not listen yet
                return self.ask("ready") is True
            return False

        self.wait_for(all_ready, "all workers are ready")
        return self

    def ports(self) -> dict[str, int]:
        ports: dict[str, int] = json.loads(Path(self.plan.notes, "ports").read_text())
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
        notes: dict[str, Any] = json.loads(Path(self.plan.notes, str(pid)).read_text())
        return notes

    def until_told(self, count: int) -> None:
        """Wait until every worker knows the numbers up to `count`, each once and in order."""
        expected = list(range(count))
        self.wait_for(
            lambda: all(self.notes(pid)["numbers"] == expected for pid in self.pids()),
            f"{count} numbers arrive",
        )

    def replaced(self, pid: int) -> int:
        """Wait for the worker that comes in the place of `pid`; return its id."""
        others = set(self.pids()) - {pid}
        self.wait_for(
            lambda: pid not in self.pids() and len(self.pids()) == self.plan.count,
            "the worker is replaced",
        )
        self.ready()
        (new,) = set(self.pids()) - others
        return new

    def request(self) -> int:
        """Ask a worker; return which one answered."""
        with Client(self.port) as client:
            return int(client.ask(get(b"/", b"Connection: close")).body)

    def cpu_s(self) -> float:
        ticks = 0
        for pid in (self.process.pid, *self.pids()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def gone(pid: int) -> bool:
    """Say whether a process has ended; a zombie has not."""
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
def daemon(tmp_path: Path) -> Iterator[Callable[..., SupervisingDaemon]]:
    daemons: list[SupervisingDaemon] = []

    def started(**wishes: Any) -> SupervisingDaemon:
        daemons.append(SupervisingDaemon(tmp_path / str(len(daemons)), **wishes))
        return daemons[-1]

    yield started
    for each in daemons:
        if each.process.poll() is None:
            each.stop()


def test_the_state_and_then_each_change_arrive_in_order(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon().ready()
    running.ask("publish/3/0")
    running.until_told(3)
    running.ask("publish/200/100")
    running.until_told(203)
    assert {running.notes(pid)["resets"] for pid in running.pids()} == {1}


def test_both_workers_serve_the_one_socket(daemon: Callable[..., SupervisingDaemon]) -> None:
    running = daemon().ready()
    for stopped in running.pids():
        (other,) = set(running.pids()) - {stopped}
        os.kill(stopped, signal.SIGSTOP)
        assert {running.request() for _ in range(5)} == {other}
        os.kill(stopped, signal.SIGCONT)


def test_a_killed_worker_is_replaced_and_catches_up(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon().ready()
    running.ask("publish/5/0")
    running.until_told(5)
    victim = running.pids()[0]
    os.kill(victim, signal.SIGKILL)
    running.ask("publish/5/0")
    new = running.replaced(victim)
    running.ask("publish/5/0")
    running.until_told(15)
    assert running.notes(new)["resets"] == 1
    assert running.ask("samples")["worker_restarts_total"] == 1
    assert gone(victim)


def test_counters_never_go_backwards(daemon: Callable[..., SupervisingDaemon]) -> None:
    running = daemon().ready()

    def counted() -> float:
        samples = running.ask("samples")
        return float(samples.get("hand_requests_total", 0))

    for _ in range(10):
        running.request()
    running.wait_for(lambda: counted() == 10, "ten requests are counted")
    for pid in running.pids():
        os.kill(pid, signal.SIGKILL)
    running.wait_for(lambda: counted() >= 10 and running.ask("ready"), "new workers")
    seen = [counted()]
    for _ in range(5):
        running.request()
    running.wait_for(lambda: seen.append(counted()) or seen[-1] == 15, "the next are counted")
    assert seen == sorted(seen)
    # A gauge is of who lives.
    running.wait_for(lambda: running.ask("samples").get("hand_workers") == 2, "both are asked")
    assert running.ask("samples")["worker_restarts_total"] == 2


def test_a_worker_that_hangs_is_killed_and_replaced(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(count=1, hang_s=1.0).ready()
    victim = running.pids()[0]
    with Client(running.port) as client:
        client.send(get(b"/hang"))
        new = running.replaced(victim)
    assert "event=worker-hangs worker=0" in running.tail()
    assert running.request() == new


def test_workers_of_a_supervisor_that_was_held_up_do_not_hang(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(hang_s=0.5).ready()
    pids = running.pids()
    running.process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + 1.5  # it is the length of the stop that matters
    wait_until(lambda: time.monotonic() > end, "three hang times pass")
    running.process.send_signal(signal.SIGCONT)
    running.ask("publish/1/0")
    running.until_told(1)
    assert running.pids() == pids
    assert "worker-hangs" not in running.tail()


def test_a_worker_that_dies_at_once_is_started_ever_later(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(count=1, mode="dies", restart_s=0.02)
    running.wait_for(lambda: running.tail().count("event=worker-ended") >= 3, "deaths")
    delays = [float(found) for found in re.findall(r"code=3 .*next_s=([\d.]+)", running.tail())]
    assert delays[:3] == pytest.approx([0.04, 0.08, 0.16])
    assert running.stop() == 0
    assert "Traceback" not in running.tail()


def test_a_worker_that_its_state_breaks_is_replaced(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(count=1).ready()
    victim = running.pids()[0]
    running.ask("poison")
    running.replaced(victim)
    assert "ValueError: poisoned" in running.tail()
    assert "event=worker-ended worker=0 code=1" in running.tail()


def test_a_worker_that_says_what_nobody_understands_is_replaced(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(mode="babbles", count=1).ready()
    before = running.request()
    assert running.replaced(before) != before
    assert "event=worker-not-understood" in running.log.read_text()


def test_workers_end_when_their_supervisor_is_killed(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon().ready()
    pids = running.pids()
    running.kill()
    wait_until(lambda: all(map(gone, pids)), "the workers end")
    daemon(port=running.port).ready()  # the port is free


def test_a_drain_that_nobody_is_left_to_cut_is_cut(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(mode="drain-hangs").ready()
    pids = running.pids()
    running.kill()
    wait_until(lambda: all(map(gone, pids)), "the workers end")


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("whole_group", [False, True], ids=["supervisor", "whole group"])
def test_a_drain_waits_for_what_its_workers_have_under_way(
    daemon: Callable[..., SupervisingDaemon], whole_group: bool
) -> None:
    """systemd signals each process of a service; a terminal does so at Ctrl-C."""
    running = daemon().ready()
    pids = running.pids()
    with Client(running.port) as client:
        client.send(post(b"abc", b"Expect: 100-continue")[:-3])
        assert client.answer().status == 100
        for pid in pids if whole_group else []:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        # Who came to wait where nobody listens any more would fail later, and worse.
        running.wait_for(lambda: refuses(running.port), "new connections are refused")
        assert int(client.ask(b"abc").body) in pids
    assert running.process.wait(10) == 0
    assert all(map(gone, pids))
    assert "worker-ended" not in running.tail()


def test_workers_that_do_not_drain_are_killed_at_the_deadline(
    daemon: Callable[..., SupervisingDaemon],
) -> None:
    running = daemon(mode="drain-hangs", drain_s=0.3).ready()
    pids = running.pids()
    assert running.stop() == 0
    wait_until(lambda: all(map(gone, pids)), "the workers are gone")
    assert "event=drain-cut by=deadline" in running.tail()


def test_a_large_state_passes(daemon: Callable[..., SupervisingDaemon]) -> None:
    size = 50_000_000
    running = daemon(state_bytes=size).ready()
    running.ask("publish/1/0")
    running.until_told(1)
    assert {running.notes(pid)["bytes"] for pid in running.pids()} == {size}


def test_a_worker_far_behind_gets_everything_anew(daemon: Callable[..., SupervisingDaemon]) -> None:
    running = daemon(behind_bytes_max=300_000).ready()
    slow, quick = running.pids()
    os.kill(slow, signal.SIGSTOP)
    for number in range(9, 300, 10):
        running.ask("publish/10/10000")
        running.wait_for(
            lambda last=number: running.notes(quick)["numbers"][-1:] == [last], "the other is told"
        )
    os.kill(slow, signal.SIGCONT)
    running.until_told(300)
    assert running.notes(slow)["resets"] == 2
    assert running.notes(quick)["resets"] == 1


def test_replacing_workers_leaks_nothing(daemon: Callable[..., SupervisingDaemon]) -> None:
    running = daemon(count=1).ready()
    before = running.ask("fds")
    for _ in range(4):
        victim = running.pids()[0]
        os.kill(victim, signal.SIGKILL)
        running.replaced(victim)
    running.wait_for(lambda: running.ask("fds") <= before, "no more descriptors than before")
    assert zombies(running.process.pid) == []


def test_who_has_nothing_to_do_does_nothing(daemon: Callable[..., SupervisingDaemon]) -> None:
    running = daemon(poll_s=1.0).ready()
    began_s, used_s = time.monotonic(), running.cpu_s()
    wait_until(lambda: time.monotonic() > began_s + 1.0, "a second passes")
    assert running.cpu_s() - used_s < 0.3


def test_a_worker_is_not_started_by_hand() -> None:
    done = run(python("tests.daemonkit.process.counting_worker"))
    assert done.returncode == 2
    assert "started by its daemon" in done.stderr
