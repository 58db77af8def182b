"""Every request is answered once while keys, servers, workers, binary and store come and go.

`make ledger MINUTES=n` runs for longer; the store is down for a third of that time.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.processes import Coordinator, wait_until
from rig.vulcan_site import Origin, Site, site
from tests.vulcan.request_ledger import (
    InjectedFault,
    LoadGenerator,
    RequestLedger,
    SentRequest,
    judge,
)

MINUTES = float(os.environ.get("LEDGER_MINUTES", "0"))
SEED = int(os.environ.get("LEDGER_SEED", "0")) or random.randrange(1, 1 << 30)
WORKERS = 2
# The time of one step. On a busy machine a step may take far longer.
STEP_S = 0.3
DEADLINE_S = 60.0


def gone(pid: int) -> bool:
    """Whether a process has ended; its sockets are closed by then."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class FaultInjector:
    """Injects faults and changes while requests come."""

    def __init__(
        self, live: Site, ledger: RequestLedger, store: Coordinator, directory: Path
    ) -> None:
        self.live = live
        self.ledger = ledger
        self.store = store
        self.directory = directory
        self.pid = live.vulcand.process.pid
        self.upgrades = 0
        self.store_down_s = 0.0
        self._rounds = 0

    def change_keys(self) -> None:
        """Add, change and remove frontends and settings."""
        self._rounds += 1
        self.live.frontend("other", f'Host("other{self._rounds}")')
        self.live.backend("b", Timeouts={"Dial": f"{5 + self._rounds % 5}s"})
        guard = {"Type": "connlimit", "Middleware": {"Connections": 1000 + self._rounds}}
        self.live.put("frontends/f/middlewares/guard", guard)
        time.sleep(STEP_S)
        self.live.delete("frontends/f/middlewares/guard")
        self.live.delete("frontends/other")

    def replace_a_server(self) -> None:
        """Remove the key first and then the server, as a deploy does."""
        with Origin(self.ledger.note) as server:
            self.live.server("new", server.url)
            wait_until(lambda: server.calls, "a request at the new server", DEADLINE_S)
            self.live.delete("backends/b/servers/new")
            self._wait_for_no_connection(server)

    def let_a_server_key_expire(self) -> None:
        with Origin(self.ledger.note) as server:
            self.live.server("expiring", server.url, ttl_s=1)
            wait_until(lambda: server.calls, "a request at the expiring server", DEADLINE_S)
            self._wait_for_no_connection(server)

    def cut_a_server_off(self) -> None:
        """Cut the server off in the middle of requests, and remove its key later."""
        with Origin(self.ledger.note) as server:
            self.live.server("doomed", server.url)
            wait_until(lambda: server.calls, "a request at the doomed server", DEADLINE_S)
            with self.ledger.fault("server"):
                server.close()
            time.sleep(STEP_S)
            self.live.delete("backends/b/servers/doomed")
            time.sleep(STEP_S)

    def kill_a_worker(self) -> None:
        state = wait_until(self._settled, "all workers are there", DEADLINE_S)
        victim = state[self._rounds % WORKERS]
        with self.ledger.fault("worker"):
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: gone(victim), "the worker is gone", DEADLINE_S)
        wait_until(lambda: victim not in (self._settled() or [victim]), "replaced", DEADLINE_S)

    def upgrade_the_binary(self) -> None:
        before, self.upgrades = self.pid, self.upgrades + 1
        os.kill(before, signal.SIGUSR2)
        wait_until(lambda: len(self._successors()) == self.upgrades, "a successor", DEADLINE_S)
        self.pid = self._successors()[-1]
        if before == self.live.vulcand.process.pid:
            assert self.live.vulcand.process.wait(DEADLINE_S) == 0
        wait_until(lambda: gone(before), "the predecessor ends", DEADLINE_S)

    def take_the_store_down(
        self, seconds: float, meanwhile: tuple[Callable[[], None], ...]
    ) -> None:
        began_s = time.monotonic()
        self.store.kill()
        for step in meanwhile:
            step()
        time.sleep(max(0.0, seconds - (time.monotonic() - began_s)))
        self.store_down_s += time.monotonic() - began_s
        port = int(self.store.url.rpartition(":")[2])
        self.store = Coordinator(self.directory, port=port)
        self.replace_a_server()

    def end(self) -> None:
        """Stop the current proxy, which may be a successor, and the store."""
        if self.pid != self.live.vulcand.process.pid:
            with contextlib.suppress(ProcessLookupError):  # the earlier failure is reported
                os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: gone(self.pid), "the successor ends", DEADLINE_S)
        self.store.stop()

    def _settled(self) -> list[int] | None:
        try:
            state = self.live.vulcand.state()
            return state["workers"] if len(state["workers"]) == WORKERS else None
        except OSError:
            return None

    def _successors(self) -> list[int]:
        lines = self.live.vulcand.log.read_text(errors="replace").splitlines()
        found = [line for line in lines if "successor-serves" in line]
        return [int(line.rpartition("pid=")[2]) for line in found]

    def _wait_for_no_connection(self, server: Origin) -> None:
        """Wait until every worker has closed its connections to a server without a key."""
        wait_until(lambda: server.closed == server.connections, "it is let go", DEADLINE_S)


@pytest.fixture
def injector(tmp_path: Path) -> Iterator[FaultInjector]:
    ledger = RequestLedger()
    arguments = ("--workers", str(WORKERS), "--state-dir", str(tmp_path / "state"))
    store = Coordinator(tmp_path)
    with (
        Origin(ledger.note) as one,
        Origin(ledger.note) as two,
        site(tmp_path, store.url, *arguments) as live,
    ):
        live.server("one", one.url)
        live.server("two", two.url)
        live.frontend("f", 'PathPrefix("/")')
        wait_until(lambda: live.vulcand.get("/0").status == 200, "routed", DEADLINE_S)
        running = FaultInjector(live, ledger, store, tmp_path)
        try:
            yield running
        finally:
            running.end()


def assert_all_excused(load: LoadGenerator, injector: FaultInjector) -> None:
    counts, wrong = judge(load.sent, injector.ledger.seen, injector.ledger.faults)
    report = " · ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))
    slowest = max(one.ended_s - one.began_s for one in load.sent if one.status)
    print(f"\n{len(load.sent)} requests · {report} · slowest {slowest:.2f} s")
    print(f"{injector.upgrades} upgrades · {len(injector.ledger.faults)} faults · ", end="")
    print(f"store down {injector.store_down_s:.0f} s · seed {SEED}")
    assert wrong == []


@pytest.mark.timeout(240)
@pytest.mark.skipif(MINUTES > 0, reason="the long form runs")
def test_every_request_is_answered_once_during_changes_and_faults(injector: FaultInjector):
    with LoadGenerator(injector.live.vulcand.port) as load:
        injector.change_keys()
        injector.replace_a_server()
        injector.cut_a_server_off()
        injector.kill_a_worker()
        injector.take_the_store_down(1.0, (injector.kill_a_worker, injector.upgrade_the_binary))
    assert_all_excused(load, injector)
    assert len(load.sent) > 100


@pytest.mark.timeout(MINUTES * 60 * 4 + 240)
@pytest.mark.skipif(MINUTES == 0, reason="make ledger MINUTES=n")
def test_every_request_is_answered_once_for_many_minutes(injector: FaultInjector):
    rng = random.Random(SEED)
    steps = (
        injector.change_keys,
        injector.replace_a_server,
        injector.let_a_server_key_expire,
        injector.cut_a_server_off,
        injector.kill_a_worker,
        injector.upgrade_the_binary,
    )
    meanwhile = (injector.kill_a_worker, injector.upgrade_the_binary)
    end_s = time.monotonic() + MINUTES * 60
    with LoadGenerator(injector.live.vulcand.port) as load:
        injector.take_the_store_down(MINUTES * 20, meanwhile)
        while time.monotonic() < end_s:
            rng.choice(steps)()
    assert_all_excused(load, injector)


GET, POST = "GET", "POST"
KILL, CUT = InjectedFault("worker", 10.0, 11.0), InjectedFault("server", 20.0, 21.0)


@pytest.mark.parametrize(
    ("sent", "times", "kind"),
    [
        (SentRequest(1, POST, 0, 1, 200), 1, "POST 200"),
        (SentRequest(2, GET, 0, 1, 200), 2, "GET 200 after a retry"),
        (SentRequest(1, POST, 0, 1, 200), 2, "wrong: a POST twice"),
        (SentRequest(1, POST, 0, 1, 200), 0, "wrong: no server saw it"),
        (SentRequest(97, POST, 0, 1, 503), 1, "POST 503"),
        (SentRequest(97, POST, 0, 1, 200), 1, "wrong: status"),
        (SentRequest(2, GET, 0, 1, 503), 1, "wrong: status"),
        (SentRequest(1, POST, 9, 12, 0), 1, "lost with its worker"),
        (SentRequest(1, POST, 11.5, 12, 0), 1, "wrong: no answer"),
        (SentRequest(1, POST, 20.5, 20.6, 502), 0, "lost with its server"),
        (SentRequest(2, GET, 20.5, 20.6, 502), 0, "wrong: status"),
        (SentRequest(1, POST, 10.5, 10.6, 502), 0, "wrong: status"),
    ],
)
def test_the_judge_excuses_only_injected_faults(sent: SentRequest, times: int, kind: str):
    counts, wrong = judge([sent], {sent.id: times}, [KILL, CUT])
    assert list(counts) == [kind]
    assert bool(wrong) == kind.startswith("wrong")
