"""`coordctl migrate` between real stores while others write."""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.client import DetectedStore, KeyNotFound, Listing, Store, connect
from coordinator.core.ctl.migration_plan import is_same_expiry
from coordinator.ctl.migration import Migration, NotIdentical, StorePair
from rig.processes import Coordinator, Etcd, Etcd3, Running, python, run, wait_until

KINDS = {"etcd": Etcd, "etcd3": Etcd3, "coordinator": Coordinator}
WAYS = [("coordinator", "etcd3"), ("etcd", "etcd3"), ("etcd3", "coordinator"), ("etcd", "etcd")]
STEPS = 600
HEARTBEATS_TTL_S = 6
Begin = Callable[[str], str]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a store of a kind; return its URL."""
    with ExitStack() as stack:

        def start(kind: str) -> str:
            directory = tmp_path / str(random.getrandbits(64))
            directory.mkdir()
            return stack.enter_context(KINDS[kind](directory)).url

        yield start


def ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = python("coordinator.ctl", "migrate", *arguments)
    return run(command, timeout_s=100)


def values(store: Store, prefix: str = "/") -> dict[str, str]:
    return {entry.key: entry.value for entry in store.list(prefix).entries}


def write(store: Store, rng: random.Random, steps: int) -> None:
    for step in range(steps):
        directory, name = rng.choice("abcd"), rng.choice("123456789")
        try:
            match rng.randrange(12):
                case 0:
                    store.delete(f"/app/{directory}", recursive=True)
                case 1 | 2:
                    store.delete(f"/app/{directory}/{name}")
                case 3:
                    store.put(f"/app/{directory}/{name}", str(step), ttl_s=600)
                case _:
                    store.put(f"/app/{directory}/{name}", str(step))
        except KeyNotFound:
            continue


def beat(store: Store, over: threading.Event, beats: list[float]) -> None:
    store.put("/app/alive", "beating", ttl_s=HEARTBEATS_TTL_S)
    while not over.wait(0.5):
        store.refresh("/app/alive", HEARTBEATS_TTL_S)
        beats.append(time.monotonic())


def test_nothing_is_written_without_run(begin: Begin) -> None:
    source, target = begin("coordinator"), begin("etcd3")
    for name in ("a", "b/c"):
        connect(source).put(f"/app/{name}", "1")
    connect(source).put("/app/brief", "1", ttl_s=60)
    done = ctl("--from", source, "--to", target)
    assert done.returncode == 0, done.stderr
    assert "copy=3" in done.stdout
    assert "--run" in done.stderr
    assert values(connect(target)) == {}


@pytest.mark.parametrize(("origin", "end"), WAYS)
def test_no_change_is_lost_while_others_write(
    begin: Begin, tmp_path: Path, origin: str, end: str
) -> None:
    source, target = begin(origin), begin(end)
    write(connect(source), random.Random(1), 200)
    arguments = ["--from", source, "--to", target, "--run", "--follow"]
    over, beats = threading.Event(), list[float]()
    with ThreadPoolExecutor(3) as threads:
        beating = threads.submit(beat, connect(source), over, beats)
        writing = [threads.submit(write, connect(source), random.Random(n), STEPS) for n in (2, 3)]
        migration = Running(python("coordinator.ctl", "migrate", *arguments), tmp_path / "log")
        try:
            for each in writing:
                each.result()
            # Longer than a copy lives that nobody refreshes.
            since_s = time.monotonic() + HEARTBEATS_TTL_S + 1
            wait_until(lambda: beats and beats[-1] > since_s, "many heartbeats")
            migration.process.send_signal(signal.SIGINT)
            code = migration.process.wait(60)
            copied, stood = values(connect(target)), values(connect(source))
        finally:
            over.set()
            beating.result()
            migration.stop()
    assert code == 0, migration.tail()
    assert "verified" in migration.tail()
    assert copied == stood
    assert copied["/app/alive"] == "beating"


@pytest.mark.parametrize(("origin", "end"), [("coordinator", "etcd3"), ("etcd3", "etcd")])
def test_a_copied_key_expires_when_the_source_does(begin: Begin, origin: str, end: str) -> None:
    source, target = connect(url := begin(origin)), connect(other := begin(end))
    source.put("/app/a", "1", ttl_s=100)
    source.put("/app/refreshed", "1", ttl_s=30)
    source.refresh("/app/refreshed", 200)
    assert ctl("--from", url, "--to", other, "--run").returncode == 0
    for key in ("/app/a", "/app/refreshed"):
        assert is_same_expiry(target.get(key).expires_at, source.get(key).expires_at)


def test_other_keys_of_the_target_are_reported_and_removed(begin: Begin) -> None:
    source, target = begin("coordinator"), begin("etcd3")
    connect(source).put("/app/a", "1")
    connect(target).put("/app/a", "old")
    connect(target).put("/app/extra/x", "old")
    connect(target).put("/elsewhere", "stays")
    output = ctl("--from", source, "--to", target, "--prefix", "/app").stdout
    assert "overwrite=1" in output
    assert "remove=1" in output
    assert ctl("--from", source, "--to", target, "--prefix", "/app", "--run").returncode == 0
    assert values(connect(target)) == {"/app/a": "1", "/elsewhere": "stays"}


def test_a_file_replaces_a_directory_of_the_target(begin: Begin) -> None:
    source, target = begin("etcd3"), begin("coordinator")
    connect(source).put("/app/a", "1")
    connect(target).put("/app/a/b", "old")
    assert ctl("--from", source, "--to", target, "--run").returncode == 0
    assert values(connect(target)) == {"/app/a": "1"}


def test_the_v2_and_v3_keys_of_one_etcd_are_two_stores(begin: Begin) -> None:
    url = begin("etcd")
    connect(url).put("/app/a", "1")
    assert ctl("--from", url, "--to", f"v3+{url}", "--run").returncode == 0
    assert values(connect(f"v3+{url}")) == {"/app/a": "1"}


@pytest.mark.parametrize("busy", [True, False])
def test_one_store_is_not_copied_to_itself(begin: Begin, *, busy: bool) -> None:
    url = begin("coordinator")
    over = threading.Event()

    def write_on() -> None:
        while busy and not over.is_set():
            connect(url).put("/app/a", "1")

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_on)
        done = ctl("--from", url, "--to", url, "--run")
        over.set()
        writing.result()
    assert done.returncode == 1
    assert "one store" in done.stderr


class ChangingStore(DetectedStore):
    """A source that is written to before each listing."""

    def list(self, prefix: str) -> Listing:
        self.put("/app/a", str(random.getrandbits(64)))
        return super().list(prefix)


def test_a_source_that_keeps_changing_is_not_verified(begin: Begin) -> None:
    over = threading.Event()
    over.set()
    with ChangingStore(begin("coordinator")) as source, connect(begin("etcd3")) as target:
        with Migration(StorePair(source, target, "/")) as migration:
            migration.follow(over)
            with pytest.raises(NotIdentical, match="kept changing"):
                migration.verify(1.0)
        assert "/app/a" in values(target)
