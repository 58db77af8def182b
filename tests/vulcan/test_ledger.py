"""Every request is answered once, whatever is done to keys, servers, workers, binary and store.

`make ledger MINUTES=n` does it for longer, with the store away for a third of that time.
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
from tests.vulcan.request_ledger import Asked, Book, Harm, Load, judge

MINUTES = float(os.environ.get("LEDGER_MINUTES", "0"))
SEED = int(os.environ.get("LEDGER_SEED", "0")) or random.randrange(1, 1 << 30)
WORKERS = 2
# A step's own time; on a busy machine all of them may take far longer.
STEP_S = 0.3
DEADLINE_S = 60.0


def gone(pid: int) -> bool:
    """Whether a process has ended; its sockets are closed by then."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class Troubles:
    """What is done while requests come."""

    def __init__(self, live: Site, book: Book, store: Coordinator, directory: Path) -> None:
        self.live = live
        self.book = book
        self.store = store
        self.directory = directory
        self.pid = live.vulcand.process.pid
        self.upgrades = 0
        self.outages_s = 0.0
        self._turns = 0

    def keys_churn(self) -> None:
        """Frontends and settings come, change and go."""
        self._turns += 1
        self.live.frontend("other", f'Host("other{self._turns}")')
        self.live.backend("b", Timeouts={"Dial": f"{5 + self._turns % 5}s"})
        guard = {"Type": "connlimit", "Middleware": {"Connections": 1000 + self._turns}}
        self.live.put("frontends/f/middlewares/guard", guard)
        time.sleep(STEP_S)
        self.live.delete("frontends/f/middlewares/guard")
        self.live.delete("frontends/other")

    def a_server_comes_and_goes(self) -> None:
        """Its key goes first, and then the server, as a deploy does it."""
        with Origin(self.book.note) as server:
            self.live.server("guest", server.url)
            wait_until(lambda: server.calls, "the guest is asked", DEADLINE_S)
            self.live.delete("backends/b/servers/guest")
            self._wait_for_no_connection(server)

    def a_server_key_expires(self) -> None:
        with Origin(self.book.note) as server:
            self.live.server("passing", server.url, ttl_s=1)
            wait_until(lambda: server.calls, "the passing one is asked", DEADLINE_S)
            self._wait_for_no_connection(server)

    def a_server_is_cut_off(self) -> None:
        """It ends without a word, in the middle of what it does; its key goes later."""
        with Origin(self.book.note) as server:
            self.live.server("doomed", server.url)
            wait_until(lambda: server.calls, "the doomed one is asked", DEADLINE_S)
            with self.book.harm("server"):
                server.close()
            time.sleep(STEP_S)
            self.live.delete("backends/b/servers/doomed")
            time.sleep(STEP_S)

    def a_worker_is_killed(self) -> None:
        state = wait_until(self._settled, "all workers are there", DEADLINE_S)
        victim = state[self._turns % WORKERS]
        with self.book.harm("worker"):
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: gone(victim), "the worker is gone", DEADLINE_S)
        wait_until(lambda: victim not in (self._settled() or [victim]), "replaced", DEADLINE_S)

    def the_binary_is_upgraded(self) -> None:
        before, self.upgrades = self.pid, self.upgrades + 1
        os.kill(before, signal.SIGUSR2)
        wait_until(lambda: len(self._successors()) == self.upgrades, "a successor", DEADLINE_S)
        self.pid = self._successors()[-1]
        if before == self.live.vulcand.process.pid:
            assert self.live.vulcand.process.wait(DEADLINE_S) == 0
        wait_until(lambda: gone(before), "the predecessor ends", DEADLINE_S)

    def the_store_is_away(self, seconds: float, meanwhile: tuple[Callable[[], None], ...]) -> None:
        began_s = time.monotonic()
        self.store.kill()
        for step in meanwhile:
            step()
        time.sleep(max(0.0, seconds - (time.monotonic() - began_s)))
        self.outages_s += time.monotonic() - began_s
        port = int(self.store.url.rpartition(":")[2])
        self.store = Coordinator(self.directory, port=port)
        self.a_server_comes_and_goes()

    def end(self) -> None:
        """End the proxy of now, which may be a successor, and the store."""
        if self.pid != self.live.vulcand.process.pid:
            with contextlib.suppress(ProcessLookupError):  # what failed before says why
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
        """A server without a key is let go by every worker; then it may end."""
        wait_until(lambda: server.closed == server.connections, "it is let go", DEADLINE_S)


@pytest.fixture
def troubles(tmp_path: Path) -> Iterator[Troubles]:
    book = Book()
    arguments = ("--workers", str(WORKERS), "--state-dir", str(tmp_path / "state"))
    store = Coordinator(tmp_path)
    with (
        Origin(book.note) as one,
        Origin(book.note) as two,
        site(tmp_path, store.url, *arguments) as live,
    ):
        live.server("one", one.url)
        live.server("two", two.url)
        live.frontend("f", 'PathPrefix("/")')
        wait_until(lambda: live.vulcand.get("/0").status == 200, "routed", DEADLINE_S)
        running = Troubles(live, book, store, tmp_path)
        try:
            yield running
        finally:
            running.end()


def judged(load: Load, troubles: Troubles) -> None:
    counts, wrong = judge(load.asked, troubles.book.seen, troubles.book.harms)
    report = " · ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))
    slowest = max(one.ended_s - one.began_s for one in load.asked if one.status)
    print(f"\n{len(load.asked)} requests · {report} · slowest {slowest:.2f} s")
    print(f"{troubles.upgrades} upgrades · {len(troubles.book.harms)} harms · ", end="")
    print(f"store away {troubles.outages_s:.0f} s · seed {SEED}")
    assert wrong == []


@pytest.mark.timeout(240)
@pytest.mark.skipif(MINUTES > 0, reason="the long form runs")
def test_every_request_is_answered_once_whatever_changes(troubles: Troubles):
    with Load(troubles.live.vulcand.port) as load:
        troubles.keys_churn()
        troubles.a_server_comes_and_goes()
        troubles.a_server_is_cut_off()
        troubles.a_worker_is_killed()
        troubles.the_store_is_away(
            1.0, (troubles.a_worker_is_killed, troubles.the_binary_is_upgraded)
        )
    judged(load, troubles)
    assert len(load.asked) > 100


@pytest.mark.timeout(MINUTES * 60 * 4 + 240)
@pytest.mark.skipif(MINUTES == 0, reason="make ledger MINUTES=n")
def test_every_request_is_answered_once_for_minutes(troubles: Troubles):
    rng = random.Random(SEED)
    steps = (
        troubles.keys_churn,
        troubles.a_server_comes_and_goes,
        troubles.a_server_key_expires,
        troubles.a_server_is_cut_off,
        troubles.a_worker_is_killed,
        troubles.the_binary_is_upgraded,
    )
    away = (troubles.a_worker_is_killed, troubles.the_binary_is_upgraded)
    end_s = time.monotonic() + MINUTES * 60
    with Load(troubles.live.vulcand.port) as load:
        troubles.the_store_is_away(MINUTES * 20, away)
        while time.monotonic() < end_s:
            rng.choice(steps)()
    judged(load, troubles)


GET, POST = "GET", "POST"
KILL, CUT = Harm("worker", 10.0, 11.0), Harm("server", 20.0, 21.0)


@pytest.mark.parametrize(
    ("asked", "times", "kind"),
    [
        (Asked(1, POST, 0, 1, 200), 1, "POST 200"),
        (Asked(2, GET, 0, 1, 200), 2, "GET 200 after a second try"),
        (Asked(1, POST, 0, 1, 200), 2, "wrong: a POST twice"),
        (Asked(1, POST, 0, 1, 200), 0, "wrong: nobody saw it"),
        (Asked(97, POST, 0, 1, 503), 1, "POST 503"),
        (Asked(97, POST, 0, 1, 200), 1, "wrong: status"),
        (Asked(2, GET, 0, 1, 503), 1, "wrong: status"),
        (Asked(1, POST, 9, 12, 0), 1, "lost with its worker"),
        (Asked(1, POST, 11.5, 12, 0), 1, "wrong: no answer"),
        (Asked(1, POST, 20.5, 20.6, 502), 0, "lost with its server"),
        (Asked(2, GET, 20.5, 20.6, 502), 0, "wrong: status"),
        (Asked(1, POST, 10.5, 10.6, 502), 0, "wrong: status"),
    ],
)
def test_the_judge_excuses_what_was_done_on_purpose_alone(asked: Asked, times: int, kind: str):
    counts, wrong = judge([asked], {asked.id: times}, [KILL, CUT])
    assert list(counts) == [kind]
    assert bool(wrong) == kind.startswith("wrong")
