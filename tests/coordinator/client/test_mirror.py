"""Each promise of a Mirror, on real servers where one is involved."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.client import BadRequest, Changes, Entry, Mirror, Store, Unavailable, connect
from coordinator.client import mirror as mirror_module
from coordinator.client.core.mirror_snapshot import MirrorSnapshot, decode, encode
from coordinator.client.http import connection_pool, server_probe, v2_watch
from coordinator.client.memory_store import MemoryStore
from coordinator.client.v3 import v3_watch
from rig.processes import answers, free_port, wait_until
from tests.coordinator.client.faulty_network import EtcdMember, FaultyLink, StoreProcess
from tests.coordinator.client.stores_under_test import MirrorReceiver, StoreUnderTest, fill

Follow = Callable[..., tuple[Mirror, MirrorReceiver]]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Start mirrors that end with the test."""
    with ExitStack() as ends:

        def start(
            store: Store, prefix: str, cache: Path | None = None
        ) -> tuple[Mirror, MirrorReceiver]:
            receiver = MirrorReceiver()
            mirror = Mirror(store, prefix, receiver, cache=cache)
            ends.callback(mirror.stop)
            mirror.start()
            return mirror, receiver

        yield start


@pytest.fixture(params=["etcd", "coordinator", "etcd3"])
def life(request: pytest.FixtureRequest) -> StoreProcess:
    return StoreProcess(request.param)


@pytest.fixture
def runs() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connected(mirror: Mirror) -> None:
    wait_until(lambda: mirror.status().connected, "the mirror is connected")


def away(mirror: Mirror) -> str:
    wait_until(lambda: not mirror.status().connected, "the mirror knows that the store is away")
    return mirror.status().error


def test_the_first_changes_have_reset_and_everything(
    subject: StoreUnderTest, follow: Follow
) -> None:
    entries = tuple(subject.store.put(subject.key(name), name) for name in ("a", "b/c"))
    mirror, receiver = follow(subject.store, subject.prefix)
    receiver.wait_for({entry.key: entry.value for entry in entries})
    index = entries[-1].modified
    cluster = subject.store.list(subject.prefix).cluster
    assert receiver.changes == [Changes(cluster, index, entries, reset=True)]
    connected(mirror)
    status = mirror.status()
    assert (status.connected, status.index, status.error) == (True, index, "")


def test_an_empty_prefix_also_delivers_first_changes(
    subject: StoreUnderTest, follow: Follow
) -> None:
    _, receiver = follow(subject.store, subject.prefix)
    wait_until(lambda: receiver.changes, "the reset has come")
    assert receiver.changes[0].reset
    assert receiver.values() == {}


def test_each_change_arrives_as_a_difference(subject: StoreUnderTest, follow: Follow) -> None:
    subject.store.put(subject.key("a"), "1")
    _, receiver = follow(subject.store, subject.prefix)
    receiver.wait_for({subject.key("a"): "1"})
    for name, value in (("a", "2"), ("b", "3")):
        entry = subject.store.put(subject.key(name), value)
        receiver.wait_for(receiver.values() | {subject.key(name): value})
        assert receiver.changes[-1].entries == (entry,)
        assert not receiver.changes[-1].reset
    subject.store.delete(subject.key("a"))
    receiver.wait_for({subject.key("b"): "3"})
    assert receiver.changes[-1].touched() == (subject.key("a"),)


def test_a_prefix_is_whole_segments(subject: StoreUnderTest, follow: Follow) -> None:
    subject.store.put(subject.key("app2/x"), "other")
    subject.store.put(subject.key("app/x"), "1")
    _, receiver = follow(subject.store, subject.key("app"))
    receiver.wait_for({subject.key("app/x"): "1"})
    subject.store.put(subject.key("app2/y"), "other")
    subject.store.put(subject.key("app/y"), "2")
    receiver.wait_for({subject.key("app/x"): "1", subject.key("app/y"): "2"})


def test_a_bad_prefix_is_refused_at_once() -> None:
    with pytest.raises(BadRequest, match="/app/"):
        Mirror(MemoryStore(), "/app/", MirrorReceiver())


def test_a_deleted_directory_is_one_delivery(subject: StoreUnderTest, follow: Follow) -> None:
    names = [subject.key(f"dir/{number}/x") for number in range(20)]
    for name in names:
        subject.store.put(name, "v")
    subject.store.put(subject.key("dir2"), "stays")
    _, receiver = follow(subject.store, subject.prefix)
    wait_until(lambda: len(receiver.values()) == 21, "all keys are here")
    subject.store.delete(subject.key("dir"), recursive=True)
    receiver.wait_for({subject.key("dir2"): "stays"})
    assert set(receiver.changes[-1].removed) == set(names)


def test_a_directory_deleted_above_the_prefix_removes_everything(
    subject: StoreUnderTest, follow: Follow
) -> None:
    subject.store.put(subject.key("above/app/x"), "v")
    _, receiver = follow(subject.store, subject.key("above/app"))
    receiver.wait_for({subject.key("above/app/x"): "v"})
    subject.store.delete(subject.key("above"), recursive=True)
    receiver.wait_for({})
    subject.store.put(subject.key("above/app/y"), "again")
    receiver.wait_for({subject.key("above/app/y"): "again"})


def test_a_transaction_of_many_changes_arrives_in_few_deliveries(
    subject: StoreUnderTest, follow: Follow
) -> None:
    _, receiver = follow(subject.store, subject.prefix)
    wait_until(lambda: receiver.changes, "the reset has come")
    if subject.url:
        fill(subject.url, [subject.key(str(number)) for number in range(900)])
    else:
        for number in range(900):
            subject.store.put(subject.key(str(number)), "v")
    wait_until(lambda: len(receiver.values()) == 900, "all changes are here")
    written = [entry.key for changes in receiver.changes for entry in changes.entries]
    assert len(written) == len(set(written)) == 900
    indexes = [changes.index for changes in receiver.changes]
    assert indexes == sorted(indexes)


def test_a_stream_of_changes_is_delivered_in_batches(
    coordinator_url: str, follow: Follow, tmp_path: Path
) -> None:
    subject = StoreUnderTest("coordinator", connect(coordinator_url), coordinator_url)
    gate = threading.Event()
    receiver = MirrorReceiver()

    def slow(changes: Changes) -> None:
        receiver(changes)
        gate.wait(30)

    mirror = Mirror(subject.store, subject.prefix, slow)
    mirror.start()
    wait_until(lambda: receiver.changes, "the reset has come")
    fill(subject.url, [subject.key(str(number)) for number in range(5000)])
    gate.set()
    wait_until(lambda: len(receiver.values()) == 5000, "all changes are here")
    mirror.stop()
    assert len(receiver.changes) < 200
    assert max(len(changes.entries) for changes in receiver.changes) <= mirror_module.BATCH_MAX


def test_a_cleared_index_leads_to_a_listing_and_one_difference(
    served: StoreUnderTest, follow: Follow
) -> None:
    with FaultyLink(served.url) as link:
        for name in ("same", "other", "gone"):
            served.store.put(served.key(name), "1")
        mirror, receiver = follow(connect(link.url), served.prefix)
        wait_until(lambda: len(receiver.values()) == 3, "all keys are here")
        link.cut()
        away(mirror)
        served.store.delete(served.key("gone"))
        changed = served.store.put(served.key("other"), "2")
        new = served.store.put(served.key("new"), "3")
        served.overrun_history()
        link.restore()
        receiver.wait_for({served.key("same"): "1", changed.key: "2", new.key: "3"})
        connected(mirror)
        (difference,) = receiver.changes[1:]
        assert not difference.reset
        assert sorted(difference.entries, key=lambda entry: entry.key) == [new, changed]
        assert difference.removed == (served.key("gone"),)


def test_an_index_that_went_back_leads_to_a_listing_and_one_difference(
    life: StoreProcess, follow: Follow, runs: ExitStack, tmp_path: Path
) -> None:
    first = runs.enter_context(life.begin(tmp_path / "first"))
    store = runs.enter_context(connect(life.url))
    for number in range(20):
        store.put("/app/a", str(number))
    store.put("/app/gone", "v")
    cluster, high = store.list("/app").cluster, store.list("/app").index
    mirror, receiver = follow(connect(life.url), "/app")
    receiver.wait_for({"/app/a": "19", "/app/gone": "v"})
    first.kill()
    runs.enter_context(life.begin(tmp_path / "second"))
    entry = store.put("/app/a", "new")
    receiver.wait_for({"/app/a": "new"})
    wait_until(lambda: mirror.status().index == entry.modified, "the mirror follows the new life")
    assert store.list("/app").cluster == cluster
    assert entry.modified < high
    after = receiver.changes[receiver.changes.index(lowered(receiver, high)) :]
    assert sum("/app/gone" in changes.removed for changes in after) == 1
    assert not any(changes.reset for changes in after)


def test_another_cluster_leads_to_a_listing_and_one_difference(
    life: StoreProcess, follow: Follow, runs: ExitStack, tmp_path: Path
) -> None:
    first = runs.enter_context(life.begin(tmp_path / "first"))
    link = runs.enter_context(FaultyLink(life.url))
    store = runs.enter_context(connect(life.url))
    store.put("/app/a", "old")
    gone = store.put("/app/gone", "v")
    mirror, receiver = follow(connect(link.url), "/app")
    receiver.wait_for({"/app/a": "old", "/app/gone": "v"})
    cluster = receiver.view.cluster
    link.cut()
    away(mirror)
    first.kill()
    runs.enter_context(life.begin(tmp_path / "second", token="second"))
    # Its index must be the higher one: only the id tells them apart.
    while (entry := store.put("/app/a", "new")).modified <= gone.modified:
        pass
    link.restore()
    receiver.wait_for({"/app/a": "new"})
    assert receiver.view.cluster == store.list("/").cluster != cluster
    (difference,) = receiver.changes[1:]
    assert (difference.entries, difference.removed) == ((entry,), ("/app/gone",))
    assert not difference.reset


def test_a_mirror_fails_over_to_another_endpoint(
    follow: Follow, runs: ExitStack, tmp_path: Path
) -> None:
    members = [EtcdMember(f"m{number}", free_port(), free_port()) for number in range(3)]
    running = [runs.enter_context(each.begin(tmp_path, members)) for each in members]
    for each, process in zip(members, running, strict=True):
        process.wait_for(lambda url=each.url: answers(f"{url}/health"), "the member is healthy")
    urls = ",".join(each.url for each in members)
    store = runs.enter_context(connect(urls))
    store.put("/app/a", "1")
    mirror, receiver = follow(connect(urls), "/app")
    receiver.wait_for({"/app/a": "1"})
    running[0].kill()
    wait_until(lambda: is_written(store, "/app/b"), "two of three members elect and write")
    receiver.wait_for({"/app/a": "1", "/app/b": "v"})
    connected(mirror)
    assert not any(changes.reset for changes in receiver.changes[1:])


def test_a_mirror_fails_over_from_an_endpoint_that_hangs(
    served: StoreUnderTest, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for follower in (v2_watch, v3_watch):
        monkeypatch.setattr(follower, "SILENCE_S", 2.0)
    monkeypatch.setattr(v2_watch, "PROGRESS_S", 1)
    monkeypatch.setattr(v2_watch, "POLL_S", 2.0)
    monkeypatch.setattr(connection_pool, "CONNECT_S", 1.0)
    monkeypatch.setattr(server_probe, "PROBE_S", 1.0)
    served.store.put(served.key("a"), "1")
    with FaultyLink(served.url) as first, FaultyLink(served.url) as second:
        mirror, receiver = follow(connect([first.url, second.url]), served.prefix)
        receiver.wait_for({served.key("a"): "1"})
        first.freeze()
        served.store.put(served.key("b"), "2")
        receiver.wait_for({served.key("a"): "1", served.key("b"): "2"})
        connected(mirror)


def test_the_last_state_stays_in_force_while_the_store_is_away(
    served: StoreUnderTest, follow: Follow
) -> None:
    with FaultyLink(served.url) as link:
        served.store.put(served.key("lasting"), "1")
        brief = served.store.put(served.key("brief"), "2", ttl_s=1)
        mirror, receiver = follow(connect(link.url), served.prefix)
        receiver.wait_for({served.key("lasting"): "1", brief.key: "2"})
        link.cut()
        error = away(mirror)
        assert link.url in error
        wait_until(lambda: served.gone(brief.key), "the server has expired the key")
        aged = mirror.status().age_s
        assert aged is not None
        wait_until(lambda: (mirror.status().age_s or 0) > aged + 0.5, "the view's age is seen")
        assert receiver.values() == {served.key("lasting"): "1", brief.key: "2"}
        assert len(receiver.changes) == 1
        link.restore()
        receiver.wait_for({served.key("lasting"): "1"})
        connected(mirror)
        assert mirror.status().error == ""
        # The history reached back: nothing was listed again.
        assert receiver.changes[1:] == [
            Changes(
                receiver.changes[0].cluster, brief.modified + 1, removed=(brief.key,), reset=False
            )
        ]


def test_a_mirror_starts_before_its_store(
    life: StoreProcess, follow: Follow, runs: ExitStack, tmp_path: Path
) -> None:
    mirror, receiver = follow(connect(life.url), "/app")
    wait_until(lambda: life.url in mirror.status().error, "the status names the endpoint")
    assert mirror.status().age_s is None
    assert receiver.changes == []
    runs.enter_context(life.begin(tmp_path))
    with connect(life.url) as store:
        store.put("/app/a", "1")
        receiver.wait_for({"/app/a": "1"})
    assert receiver.changes[0].reset


def test_a_mirror_starts_from_disk_while_the_store_is_away(
    served: StoreUnderTest, follow: Follow, tmp_path: Path
) -> None:
    cache = tmp_path / "state" / "mirror"
    for name in ("same", "other", "gone"):
        served.store.put(served.key(name), "1")
    with FaultyLink(served.url) as link:
        earlier, receiver = follow(connect(link.url), served.prefix, cache)
        wait_until(lambda: len(receiver.values()) == 3, "all keys are here")
        earlier.stop()
        last = receiver.values()
        link.cut()
        changed = served.store.put(served.key("other"), "2")
        served.store.delete(served.key("gone"))

        mirror, receiver = follow(connect(link.url), served.prefix, cache)
        receiver.wait_for(last)
        wait_until(lambda: link.url in mirror.status().error, "the status names the endpoint")
        status = mirror.status()
        assert (status.connected, status.from_cache) == (False, True)
        assert status.age_s is not None
        assert 0 <= status.age_s < 60
        assert [changes.reset for changes in receiver.changes] == [True]

        link.restore()
        receiver.wait_for({served.key("same"): "1", changed.key: "2"})
        (difference,) = receiver.changes[1:]
        assert difference.entries == (changed,)
        assert difference.removed == (served.key("gone"),)
        assert not difference.reset
        connected(mirror)
        assert not mirror.status().from_cache


def test_a_snapshot_is_readable_by_its_owner_only(
    subject: StoreUnderTest, follow: Follow, tmp_path: Path
) -> None:
    subject.store.put(subject.key("secret"), "1")
    mirror, receiver = follow(subject.store, subject.prefix, tmp_path / "mirror")
    receiver.wait_for({subject.key("secret"): "1"})
    mirror.stop()
    assert (tmp_path / "mirror").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["mirror"]


def test_a_stop_saves_the_changes_since_the_last_snapshot(
    subject: StoreUnderTest, follow: Follow, tmp_path: Path
) -> None:
    mirror, receiver = follow(subject.store, subject.prefix, tmp_path / "mirror")
    wait_until(lambda: receiver.changes, "the reset has come")
    for number in range(10):
        subject.store.put(subject.key("a"), str(number))
    receiver.wait_for({subject.key("a"): "9"})
    mirror.stop()
    saved = decode((tmp_path / "mirror").read_bytes(), subject.prefix)
    assert saved.entries == (subject.store.get(subject.key("a")),)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda text: text[:-1],
        lambda text: text + b"x",
        lambda text: text[:-10] + bytes([text[-10] ^ 1]) + text[-9:],
        lambda text: text.replace(b"mirror 1", b"mirror 2", 1),
        lambda _: b"root:x:0:0\n" * 1000,
        lambda _: encode(MirrorSnapshot("/of/another", "c", 1, 0.0, ())),
    ],
    ids=["empty", "short", "long", "flipped", "later-format", "foreign", "other-prefix"],
)
def test_a_damaged_or_foreign_snapshot_is_ignored_with_a_warning(
    damage: Callable[[bytes], bytes],
    follow: Follow,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, cache = MemoryStore(), tmp_path / "mirror"
    store.put("/app/a", "1")
    saved = MirrorSnapshot("/app", store.cluster, 1, 0.0, (Entry("/app/old", "0", 1, 1),))
    cache.write_bytes(damage(encode(saved)))
    mirror, receiver = follow(store, "/app", cache)
    receiver.wait_for({"/app/a": "1"})
    assert [changes.reset for changes in receiver.changes] == [True]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "cache-ignored"
    ]
    mirror.stop()
    assert decode(cache.read_bytes(), "/app").entries == store.list("/app").entries


def test_a_mirror_works_without_a_writable_snapshot(
    follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = MemoryStore()
    mirror, receiver = follow(store, "/app", tmp_path / "file" / "mirror")
    store.put("/app/a", "1")
    receiver.wait_for({"/app/a": "1"})
    mirror.stop()
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings[-1] == "cache-not-written"


def test_nothing_is_delivered_after_a_stop(subject: StoreUnderTest, follow: Follow) -> None:
    mirror, receiver = follow(subject.store, subject.prefix)
    wait_until(lambda: receiver.changes, "the reset has come")
    began_s = time.monotonic()
    mirror.stop()
    assert time.monotonic() - began_s < mirror_module.STOP_S
    subject.store.put(subject.key("a"), "1")
    assert not any(thread.name == f"mirror {subject.prefix}" for thread in threading.enumerate())
    assert receiver.values() == {}


def test_a_stop_does_not_wait_for_a_store_that_hangs(served: StoreUnderTest) -> None:
    with FaultyLink(served.url) as link:
        link.freeze()
        receiver = MirrorReceiver()
        mirror = Mirror(connect(link.url), served.prefix, receiver)
        mirror.start()
        began_s = time.monotonic()
        mirror.stop()
        assert time.monotonic() - began_s < mirror_module.STOP_S + 1
        assert receiver.changes == []
        mirror.stop()


def test_a_receiver_that_raises_ends_the_mirror_visibly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))

    def refuse(changes: Changes) -> None:
        raise RuntimeError("the loop is closed")

    mirror = Mirror(MemoryStore(), "/app", refuse)
    mirror.start()
    wait_until(lambda: raised, "the thread has ended")
    status = mirror.status()
    assert (status.connected, "the loop is closed" in status.error) == (False, True)
    assert "mirror-broken" in [record.message for record in caplog.records]


def lowered(receiver: MirrorReceiver, high: int) -> Changes:
    return next(changes for changes in receiver.changes if changes.index < high)


def is_written(store: Store, key: str) -> bool:
    try:
        store.put(key, "v")
    except Unavailable:
        return False
    return True
