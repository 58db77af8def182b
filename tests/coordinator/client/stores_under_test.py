"""The stores with which the client is tested: in memory, a real etcd, our coordinator."""

import base64
import itertools
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from coordinator.client import Changes, Entry, Event, Store, View, Watch, connect
from coordinator.client.memory_store import MemoryStore
from rig.processes import wait_until

PIPELINED_MAX = 200
# The coordinator keeps 64 MiB of events, etcd 1000 of them, the store in memory as many.
LARGE = "x" * 1_000_000
_prefixes = itertools.count(1)


@dataclass
class ManualClock:
    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class StoreUnderTest:
    """One store, and a prefix in it that no other test uses."""

    kind: str
    store: Store
    url: str = ""
    clock: ManualClock = field(default_factory=ManualClock)
    prefix: str = field(default_factory=lambda: f"/test-{next(_prefixes)}")

    @property
    def has_directories(self) -> bool:
        """Whether directories exist by themselves, and not only where files are below."""
        return self.kind != "etcd3"

    @property
    def shortest_s(self) -> int:
        """The shortest TTL that is possible: etcd's leases last at least two election timeouts."""
        return 3 if self.kind == "etcd3" else 1

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def another(self) -> Store:
        """A second client of the same store."""
        return connect(self.url) if self.url else self.store

    def let_expire(self, ttl_s: float) -> None:
        """Let a TTL expire. A server does it by itself; the store in memory is told to."""
        if isinstance(self.store, MemoryStore):
            self.clock.now_s += ttl_s
            self.store.expire()

    def overrun_history(self) -> None:
        """Write so much that the history no longer reaches back to the present index."""
        if self.kind == "etcd3":
            self.store.put("/elsewhere", "v")
            compact(self.url, self.store.put("/elsewhere", "v").modified)
            return
        if self.kind == "coordinator":
            for _ in range(80):
                self.store.put("/elsewhere", LARGE)
            return
        for number in range(1100):
            self.store.put("/elsewhere", str(number))

    def gone(self, key: str) -> bool:
        return not self.store.list(key).entries


def in_memory() -> StoreUnderTest:
    clock = ManualClock()
    return StoreUnderTest("memory", MemoryStore(clock=clock), clock=clock)


def fill(url: str, keys: Iterable[str]) -> None:
    """Write many keys over one connection with pipelining. The value of each is its key."""
    host = urlsplit(url.removeprefix("v3+"))
    put = _put if url == host.geturl() else _put_v3
    assert host.hostname
    assert host.port
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        answers = connection.makefile("rb")
        remaining = iter(keys)
        while batch := list(itertools.islice(remaining, PIPELINED_MAX)):
            connection.sendall(b"".join(put(host.netloc, key) for key in batch))
            for _ in batch:
                _read_answer(answers.readline, answers.read)


def _put(host: str, key: str) -> bytes:
    head = f"PUT /v2/keys{key}?value={key} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
    return head.encode()


def _put_v3(host: str, key: str) -> bytes:
    name = base64.b64encode(key.encode()).decode()
    body = f'{{"key":"{name}","value":"{name}"}}'
    head = f"POST /v3/kv/put HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"{head}{body}".encode()


def compact(url: str, revision: int) -> None:
    """Compact the v3 keys of an etcd up to a revision."""
    body = f'{{"revision":{revision}}}'.encode()
    asked = urllib.request.Request(f"{url.removeprefix('v3+')}/v3/kv/compaction", data=body)
    urllib.request.urlopen(asked, timeout=10).close()


def _read_answer(line: Callable[[], bytes], read: Callable[[int], bytes]) -> None:
    status = line()
    assert status.startswith(b"HTTP/1.1 20"), status
    length = 0
    while field_line := line().strip():
        name, _, value = field_line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    assert len(read(length)) == length


class MirrorReceiver:
    """Receives a mirror's deliveries and keeps a view of them."""

    def __init__(self) -> None:
        self.changes: list[Changes] = []
        self.view = View()
        self._lock = threading.Lock()

    def __call__(self, changes: Changes) -> None:
        with self._lock:
            self.view.apply(changes)
            self.changes.append(changes)

    def values(self) -> dict[str, str]:
        with self._lock:
            return {key: entry.value for key, entry in self.view.entries.items()}

    def entries(self) -> dict[str, Entry]:
        with self._lock:
            return dict(self.view.entries)

    def wait_for(self, values: dict[str, str]) -> None:
        wait_until(lambda: self.values() == values, f"the view has {values}")


def events(watch: Watch, count: int, deadline_s: float = 30.0) -> list[Event]:
    """Return `count` events of a watch, or those that came until the deadline."""
    found: list[Event] = []
    timer = threading.Timer(deadline_s, watch.close)
    timer.start()
    try:
        for change in watch:
            if isinstance(change, Event):
                found.append(change)
            if len(found) == count:
                break
    finally:
        timer.cancel()
        timer.join()
    return found
