"""The coordinator and etcd must give the same answers to the same requests.

DIFFERENTIAL_SEEDS and DIFFERENTIAL_STEPS ask for more than the default; DIFFERENTIAL_FIRST is
the first seed. A failure names its seed, and one seed alone can be run again with them.

What may differ, and why, beside the watches (differential.rules):

* A directory's `modifiedIndex` after its TTL was updated. etcd's event says the new index, and
  what etcd stores stays the old one; ours stores what the event said.
* Who is to blame in /v2/stats/store: etcd counts some refusals as successes (a root that is
  read only, a directory that is no file, a value that differs on delete), a refused create
  below a file as a refused set too, and its own look at the auth settings as a failed get.
* The number of a `ttl` and the digits of an `expiration`, by what the clocks are apart.
* Backspace, form feed and U+FFFD for a bad byte: the same JSON, in escapes of other length.
* An end of a TTL beyond what 64 bits of nanoseconds hold: etcd wraps it around, ours refuses it
  (not drawn here, for the states would differ from then on).
"""

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.watcher_hub import Watcher
from coordinator.core.v2api.keys_api import WatchRequest
from rig.processes import Coordinator, Etcd
from tests.coordinator.differential import watch_rules
from tests.coordinator.differential.sides import (
    ETCD_HISTORY,
    Answer,
    InProcess,
    Server,
    WatchConnection,
)
from tests.coordinator.differential.traffic import NAMES, Request, Traffic

SEEDS = int(os.environ.get("DIFFERENTIAL_SEEDS", "10"))
FIRST = int(os.environ.get("DIFFERENTIAL_FIRST", "1"))
STEPS = int(os.environ.get("DIFFERENTIAL_STEPS", "300"))
CLOCKS_APART_S = 8
WATCHES_MAX = 12
SHOWN_STEPS = 12
COMPARED_HEADERS = ("content-type", "x-etcd-index", "location", "allow")
SERVER_HEADERS = ("x-etcd-cluster-id", "x-raft-index", "x-raft-term")
ESCAPES = re.compile("\\\\b|\\\\f|\ufffd".encode())
SORTED = re.compile(rb"[?&]sorted=(true|1|t|T|TRUE|True)(&|$)")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as etcd, Server(etcd.url) as server:
        # Its history is full from the first seed on, so that a wait can come too late.
        for _ in range(ETCD_HISTORY.slots):
            server.ask(Request("PUT", b"/v2/keys/pad", b"value="))
        yield server


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("daemon")
    with Coordinator(directory) as running, Server(running.url) as server:
        yield server


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_the_key_space_answers_as_etcd_does(reference: Server, seed: int) -> None:
    Comparison(seed, reference, None).run()


@pytest.mark.parametrize("seed", range(FIRST + 1000, FIRST + 1000 + max(1, SEEDS // 3)))
def test_the_daemon_answers_as_etcd_does(reference: Server, daemon: Server, seed: int) -> None:
    Comparison(seed, reference, daemon).run()


@dataclass(slots=True)
class OpenWatch:
    request: Request
    asked: WatchRequest
    began: int
    mine: Watcher
    etcd: WatchConnection
    daemon: WatchConnection | None
    taken: list[KeyEvent] = field(default_factory=list)

    def take(self) -> None:
        while len(self.taken) < (1 if not self.asked.stream else 1 << 30):
            self.taken += self.mine.take(1 if not self.asked.stream else 7)
            if not self.mine.more:
                break


class Comparison:
    """One seed's requests to all sides, from a clean start at one common index."""

    def __init__(self, seed: int, etcd: Server, daemon: Server | None) -> None:
        self._etcd, self._daemon = etcd, daemon
        clear(etcd)
        if daemon is not None:
            clear(daemon)
            align(etcd, daemon)
        start = etcd.index()
        self._mine = InProcess(start)
        rng = random.Random(seed)
        # The daemon's history is a hundred times longer than etcd's.
        self._traffic = Traffic(rng, self._mine.space, too_late=daemon is None)
        self._seed, self._start = seed, start
        self._asked: list[Request] = []
        self._watches: list[OpenWatch] = []
        self._updated: set[str] = set()
        self._etcd_before = etcd.stats()
        self._daemon_before = daemon.stats() if daemon else {}

    def run(self) -> None:
        try:
            for request in self._traffic.requests(STEPS):
                self._asked.append(request)
                self._step(request)
            while self._watches:
                self._finish(self._watches.pop())
            self._compare_stats()
        finally:
            for watch in self._watches:
                watch.etcd.close()
                if watch.daemon is not None:
                    watch.daemon.close()

    def _step(self, request: Request) -> None:
        answer = self._mine.ask(request)
        if isinstance(answer, WatchRequest):
            self._open(request, answer)
        else:
            self._note_updated()
            theirs = self._etcd.ask(request)
            self._compare(request, answer, theirs)
            self._compare_length(request, answer, theirs)
            if self._daemon is not None:
                served = self._daemon.ask(request)
                self._compare(request, served, theirs)
                self._compare_length(request, answer, served)
        if request.settle:
            self._settle()
        if len(self._watches) > WATCHES_MAX:
            self._finish(self._watches.pop(0))

    def _settle(self) -> None:
        expired = self._mine.expire()
        self._etcd.wait_for_expired(self._etcd_before["expireCount"] + expired)
        if self._daemon is not None:
            self._daemon.wait_for_expired(self._daemon_before["expireCount"] + expired)

    def _open(self, request: Request, asked: WatchRequest) -> None:
        began = self._mine.space.index
        mine, etcd = self._mine.watch(asked), self._etcd.watch(request)
        if isinstance(mine, Answer):
            self._compare(request, mine, Answer(etcd.status, etcd.headers, etcd.read_to_end()))
            etcd.close()
            return
        daemon = self._daemon.watch(request) if self._daemon else None
        watch = OpenWatch(request, asked, began, mine, etcd, daemon)
        self._watches.append(watch)
        for theirs in (etcd, daemon):
            if theirs is not None:
                self._expect(theirs.status == 200, request, "status of the watch", theirs.status)
                headers = {name: theirs.headers.get(name) for name in COMPARED_HEADERS[:2]}
                wanted = {"content-type": "application/json", "x-etcd-index": str(began)}
                self._expect(headers == wanted, request, "headers of the watch", headers)

    def _finish(self, watch: OpenWatch) -> None:
        """Compare what a watch brought on each side, then end it."""
        wanted = watch_rules.ours(watch.asked, watch.began, self._mine.events)
        etcds = watch_rules.etcds(watch.asked, watch.began, self._mine.events)
        watch.take()
        watch.mine.close()
        told = [event.index for event in watch.taken]
        self._expect(watch.taken == wanted, watch.request, "ours watched", told, wanted)
        sides = [(watch.etcd, etcds)]
        if watch.daemon is not None:
            sides.append((watch.daemon, wanted))
        for connection, events in sides:
            ends = bool(events) and not watch.asked.stream
            lines = connection.lines(len(events), ends=ends)
            connection.close()
            alike = len(lines) == len(events) and all(
                self._alike(json.loads(line), json.loads(event.line(Moment(0))), timed=False)
                for line, event in zip(lines, events, strict=True)
            )
            self._expect(alike, watch.request, "they watched", lines, events)
            self._expect(connection.ended == ends, watch.request, "the end of the watch", lines)

    def _note_updated(self) -> None:
        if self._mine.events:
            event = self._mine.events[-1]
            if event.action == "update" and event.node is not None and event.node.value is None:
                self._updated.add(event.key.decode(errors="replace"))

    def _compare(self, request: Request, ours: Answer, theirs: Answer) -> None:
        self._expect(ours.status == theirs.status, request, "status", ours, theirs)
        for name in COMPARED_HEADERS:
            pair = ours.headers.get(name), theirs.headers.get(name)
            self._expect(pair[0] == pair[1], request, name, ours, theirs)
        if "date" in ours.headers:
            for name in SERVER_HEADERS:
                both = (name in ours.headers) == (name in theirs.headers)
                self._expect(both, request, name, ours, theirs)
        if request.method == "HEAD":
            return
        if theirs.headers.get("content-type") == "application/json":
            values = json.loads(ours.body), json.loads(theirs.body)
            if not SORTED.search(request.target):
                values = in_order(values[0]), in_order(values[1])
            self._expect(self._alike(*values), request, "JSON", ours, theirs)
        else:
            self._expect(ours.body == theirs.body, request, "body", ours, theirs)

    def _compare_length(self, request: Request, mine: Answer, theirs: Answer) -> None:
        """Compare what HEAD says of the body, but for bytes of a time or of other escapes."""
        if request.method != "HEAD" or "x-etcd-index" not in theirs.headers:
            return
        if self._mine.space.next_expiry_ns is None and not ESCAPES.search(mine.body):
            length = int(theirs.headers["content-length"])
            self._expect(len(mine.body) == length, request, "length", mine, theirs)

    def _alike(self, ours: object, theirs: object, *, timed: bool = True) -> bool:
        if isinstance(ours, list) and isinstance(theirs, list):
            pairs = zip(ours, theirs, strict=False)
            return len(ours) == len(theirs) and all(
                self._alike(a, b, timed=timed) for a, b in pairs
            )
        if not (isinstance(ours, dict) and isinstance(theirs, dict)):
            return ours == theirs
        names = [name for name in ours if name != "ttl"]
        if names != [name for name in theirs if name != "ttl"] or not near(ours, theirs, timed):
            return False
        return all(
            self._alike(ours[name], theirs[name], timed=timed)
            or (name == "modifiedIndex" and ours.get("dir") and ours["key"] in self._updated)
            for name in names
            if name != "expiration"
        )

    def _compare_stats(self) -> None:
        mine = json.loads(self._mine.space.stats.json(0))
        sides = [(self._etcd, self._etcd_before)]
        if self._daemon is not None:
            sides.append((self._daemon, self._daemon_before))
        for server, before in sides:
            now = server.stats()
            assert list(now) == list(mine)
            theirs = {name: now[name] - before[name] for name in now}
            for operation in ("update", "delete", "compareAndSwap", "compareAndDelete"):
                mine_total = mine[f"{operation}Success"] + mine[f"{operation}Fail"]
                total = theirs[f"{operation}Success"] + theirs[f"{operation}Fail"]
                assert mine_total == total, (self._seed, operation, mine, theirs)
            for name in ("getsSuccess", "setsSuccess", "createSuccess", "createFail"):
                assert mine[name] == theirs[name], (self._seed, name, mine, theirs)
            assert mine["expireCount"] == theirs["expireCount"]

    def _expect(self, holds: object, request: Request, what: str, *seen: object) -> None:
        if holds:
            return
        told = [f"seed {self._seed}, step {len(self._asked)}, start {self._start}: {what}"]
        told += [f"  {step}" for step in self._asked[-SHOWN_STEPS:]]
        told += ["of", f"  {request}", *(f"  {one}" for one in seen)]
        pytest.fail("\n".join(told))


def near(ours: dict[str, object], theirs: dict[str, object], timed: bool) -> bool:
    """Return whether two nodes expire at about the same time."""
    ends = [node.get("expiration") for node in (ours, theirs)]
    if ends[0] is None or ends[1] is None:
        return ends[0] == ends[1]
    first, second = (datetime.fromisoformat(str(end)[:19]) for end in ends)
    if abs((first - second).total_seconds()) > CLOCKS_APART_S:
        return False
    ttls = [int(str(node.get("ttl", 0))) for node in (ours, theirs)]
    return not timed or abs(ttls[0] - ttls[1]) <= CLOCKS_APART_S


def in_order(value: object) -> object:
    """Return JSON with its nodes sorted: etcd lists them by chance."""
    if isinstance(value, list):
        return sorted(map(in_order, value), key=json.dumps)
    if isinstance(value, dict):
        return {name: in_order(part) for name, part in value.items()}
    return value


def clear(server: Server) -> None:
    """Remove every key, those that no listing shows by their names."""
    listed = json.loads(server.ask(Request("GET", b"/v2/keys/")).body)["node"].get("nodes", [])
    hidden = [f"/{name}" for name in NAMES if name.startswith("_")]
    for key in [*(node["key"] for node in listed), *hidden]:
        target = f"/v2/keys{key}?recursive=true".encode()
        server.ask(Request("DELETE", quote_path(target)))


def quote_path(target: bytes) -> bytes:
    """Return a target with what a request line cannot carry escaped."""
    return b"".join(
        b"%c" % byte if 0x21 <= byte < 0x7F and byte not in b'%#<>"' else b"%%%02X" % byte
        for byte in target
    )


def align(first: Server, second: Server) -> None:
    """Bring two empty servers to one index and leave them empty."""
    behind, ahead = sorted((first, second), key=Server.index)
    distance = ahead.index() - behind.index()
    for server, writes in ((behind, distance + 1), (ahead, 1)):
        for _ in range(writes):
            server.ask(Request("PUT", b"/v2/keys/pad", b"value="))
        server.ask(Request("DELETE", b"/v2/keys/pad"))
