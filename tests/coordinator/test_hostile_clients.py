"""What one client can cost the others: each bound as a client meets it."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil
import pytest

from coordinator.core.raft.membership import Configuration
from coordinator.core.replica import state_snapshot
from coordinator.core.replica.sessions import Sessions
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.core.store.commands import Put
from coordinator.core.store.keyspace import KeySpace
from coordinator.server.listing_stream import LISTINGS_MAX
from coordinator.storage.data_dir import DataDir
from rig.processes import START_S, Coordinator, require, wait_until
from tests.coordinator.test_server import Api, closed_connections

__all__ = ["closed_connections"]

MEMBER, CLUSTER = 0x8E9E05C52164694D, 0xCDF818194E3A8C32
MANY_KEYS = 300_000
ROUNDS = 3
WATCHERS = 3000


@pytest.fixture
def api(coordinator: Coordinator) -> Api:
    return Api(coordinator.url)


def memory_mib(running: Coordinator) -> float:
    return psutil.Process(running.process.pid).memory_info().rss / 2**20


def keep(directory: Path, space: KeySpace) -> None:
    """Make the data directory of a lone member with these keys."""
    configuration = Configuration(frozenset({MEMBER}))
    data_dir = DataDir(directory)
    data_dir.open(WalMetadata(MEMBER, CLUSTER))
    data_dir.save_snapshot(10, 1, state_snapshot.dump(configuration, Sessions(), 0, space))
    data_dir.close()


class Pings:
    """Another client: a small read each few milliseconds. Its unit is the member's own time.

    Processor time, because a busy machine delays everybody, and that is not the member's doing.
    """

    EVERY_S = 0.005

    def __init__(self, running: Coordinator) -> None:
        self.delays_s: list[float] = []
        self._member = psutil.Process(running.process.pid)
        self._api = Api(running.url)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(self.EVERY_S):
            before_s = self._worked_s()
            self._api.ask("GET", "/v2/keys/other")
            self.delays_s.append(self._worked_s() - before_s)

    def _worked_s(self) -> float:
        times = self._member.cpu_times()
        return times.user + times.system

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def p99_s(self) -> float:
        return sorted(self.delays_s)[len(self.delays_s) * 99 // 100]


def assert_serves_others(
    running: Coordinator, work: Callable[[], object], limit_s: float = 0.1
) -> None:
    """Assert that another client's p99 stays below the limit while `work` runs."""

    def p99_s() -> float:
        with Pings(running) as pings:
            work()
            work()
        return pings.p99_s()

    assert any(p99_s() < limit_s for _ in range(ROUNDS))


def test_a_key_that_is_too_deep_or_too_long_is_refused_before_the_log(
    coordinator: Coordinator, api: Api
) -> None:
    before_mib, index = memory_mib(coordinator), api.index()
    for number in range(5):
        for method in ("PUT", "POST"):
            status, _, body = api.ask(method, f"/v2/keys/{number}" + "/a" * 8000, value="x")
            assert (status, json.loads(body)["errorCode"]) == (400, 209)
    assert api.ask("PUT", "/v2/keys/" + "k" * 8000, value="x")[0] == 400
    assert api.index() == index
    assert memory_mib(coordinator) < before_mib + 50
    assert api.ask("PUT", "/v2/keys/10.0.0.0.in-addr" + "/a" * 126, value="x")[0] == 201
    assert api.ask("GET", "/v2/keys/?recursive=true")[0] == 200


def test_many_watchers_of_a_hot_key_delay_no_other_client(coordinator: Coordinator) -> None:
    watch = b"GET /v2/keys/hot?wait=true&stream=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    parts, api = urlsplit(coordinator.url), Api(coordinator.url)
    with ExitStack() as kept:
        for _ in range(WATCHERS):
            watcher = socket.create_connection((parts.hostname, parts.port), timeout=30)
            kept.enter_context(watcher).sendall(watch)
        expected = b'"watchers":%d' % WATCHERS
        wait_until(lambda: expected in api.ask("GET", "/v2/stats/store")[2], "the watchers")

        def write() -> None:
            for step in range(20):
                api.put("/hot", value=step)

        assert_serves_others(coordinator, write, 0.04)
        api.put("/hot", value="last")
        last = b""
        while b'"last"' not in last:
            last = watcher.recv(1 << 20)


def test_invented_methods_are_one_time_series(api: Api) -> None:
    for number in range(100):
        assert api.ask(f"INVENTED{number}", "/v2/keys/a")[0] == 405
    lines = api.ask("GET", "/metrics")[2].splitlines()
    counts = [line for line in lines if line.startswith(b"etcd_http_received_total{")]
    assert b'etcd_http_received_total{method="other"} 100.0' in counts
    assert len(counts) <= 10


def test_deep_keys_of_an_older_version_can_be_listed_and_deleted(tmp_path: Path) -> None:
    space = KeySpace()
    space.apply(Put(b"/skydns" + b"/a" * 4000, b"x"))
    keep(tmp_path / "coordinator", space)
    with Coordinator(tmp_path) as running:
        api = Api(running.url)
        with Pings(running) as pings:
            status, _, body = api.ask("GET", "/v2/keys/skydns?recursive=true")
        assert (status, body.count(b'"dir":true')) == (200, 4000)
        assert pings.p99_s() < 1
        assert api.ask("DELETE", "/v2/keys/skydns?recursive=true")[0] == 200


@pytest.fixture(scope="module")
def many_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """A member that has very many keys."""
    directory, space = tmp_path_factory.mktemp("many"), KeySpace()
    for number in range(MANY_KEYS // 2):
        space.apply(Put(b"/many/%03d/%06d" % (number % 300, number), b"value %d" % number))
        space.apply(Put(b"/flat/%06d" % (number * 7919 % MANY_KEYS), b"value %d" % number))
    keep(directory / "coordinator", space)
    with Coordinator(directory) as running:
        yield running


@pytest.mark.parametrize("target", ["/v2/keys/?recursive=true", "/v2/keys/flat"])
def test_a_long_listing_delays_no_other_client(many_keys: Coordinator, target: str) -> None:
    listing = [require("curl"), "-sS", "-o", "/dev/null", f"{many_keys.url}{target}"]
    assert_serves_others(many_keys, lambda: subprocess.run(listing, check=True, timeout=60))


def test_a_long_listing_shows_the_keys_of_one_moment(many_keys: Coordinator) -> None:
    api, over = Api(many_keys.url), threading.Event()

    def move() -> None:
        """Keep one key in one of two places: at each moment exactly one is there."""
        mover, step = Api(many_keys.url), 0
        while not over.is_set():
            first, last = ("/many/000/!first", "/many/~last")[:: 1 if step % 2 else -1]
            mover.put("/many/!step", value=step)
            mover.ask("DELETE", f"/v2/keys{first}")
            mover.put(last, value=step)
            step += 1

    thread = threading.Thread(target=move)
    thread.start()
    try:
        for _ in range(3):
            status, headers, body = api.ask("GET", "/v2/keys/many?recursive=true")
            assert status == 200
            newest = max(map(int, _indexes(body)))
            assert newest <= int(headers["X-Etcd-Index"])
            assert body.count(b"!first") + body.count(b"~last") <= 1
    finally:
        over.set()
        thread.join()


def test_clients_that_do_not_read_their_listings_keep_nobody_from_listing(
    many_keys: Coordinator,
) -> None:
    parts = urlsplit(many_keys.url)
    request = b"GET /v2/keys/?recursive=true HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as kept:
        for _ in range(LISTINGS_MAX + 6):
            silent = socket.create_connection((parts.hostname, parts.port), timeout=30)
            kept.enter_context(silent).sendall(request)
        api = Api(many_keys.url)
        api.connection.timeout = START_S
        status, _, body = api.ask("GET", "/v2/keys/many?recursive=true")
        assert (status, body.count(b'"value":"value')) == (200, MANY_KEYS // 2)
        assert memory_mib(many_keys) < 1500


def _indexes(body: bytes) -> list[bytes]:
    return [part.partition(b",")[0] for part in body.split(b'"modifiedIndex":')[1:]]
