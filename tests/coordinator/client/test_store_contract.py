"""What every Store does, whatever serves it: reads, writes, conditions and their errors."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordinator.client import (
    Absent,
    AtIndex,
    BadRequest,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    NotADirectory,
    NotAFile,
    Present,
    PutCondition,
    Store,
    Unavailable,
    WithValue,
    connect,
)
from rig.processes import LONG, ROOT, wait_until
from tests.coordinator.client.cas_contender import increment
from tests.coordinator.client.faulty_network import FaultyLink
from tests.coordinator.client.stores_under_test import StoreUnderTest, fill

WRITERS = 8
INCREMENTS = 100
PROCESSES = 16
KEYS = 100_000 if LONG else 10_000
PROCESS_INCREMENTS = 1000 if LONG else 100
VALUES = (
    "",
    "plain",
    "grüße, 世界 🎈",
    "a=1&b=2;c%20+d",
    "<\"\\'>\n\t\0\x7f",
    "\u2028",
    "x" * 500_000,
)
SEGMENTS = (
    "with space",
    "50%",
    "%2F",
    "a?b#c",
    "a+b",
    "a;b",
    "a&b=c",
    "straße",
    "世界",
    "~-._!$'()*,:@",
)
BAD_KEYS = (
    "",
    "relative",
    "/",
    "//a",
    "/a//b",
    "/a/",
    "/a/../b",
    "/a/./b",
    "/..",
    "/bad\ud800text",
)

CALLS: dict[str, Callable[[Store, str], object]] = {
    "get": lambda store, key: store.get(key),
    "put": lambda store, key: store.put(key, "v"),
    "refresh": lambda store, key: store.refresh(key, 5),
    "delete": lambda store, key: store.delete(key),
}
HELD_BY_A_FILE = (Present(), AtIndex(1), WithValue("v"))


def test_a_written_file_is_read_back(world: StoreUnderTest) -> None:
    written = world.store.put(world.key("a"), "one")
    assert written.key == world.key("a")
    assert written.value == "one"
    assert written.created == written.modified > 0
    assert written.expires_at is None
    assert world.store.get(world.key("a")) == written
    assert world.store.get(world.key("a"), quorum=False) == written


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_text_is_a_value(world: StoreUnderTest, value: str) -> None:
    world.store.put(world.key("a"), value)
    assert world.store.get(world.key("a")).value == value


@pytest.mark.parametrize("segment", SEGMENTS)
def test_any_text_is_a_segment_of_a_key(world: StoreUnderTest, segment: str) -> None:
    key = world.key(f"{segment}/{segment}")
    assert world.store.put(key, "v").key == key
    assert world.store.get(key).value == "v"
    assert [entry.key for entry in world.store.list(world.key(segment)).entries] == [key]
    world.store.refresh(key, 60)
    world.store.delete(key)
    with pytest.raises(KeyNotFound):
        world.store.get(key)


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_key_that_servers_would_turn_into_another_is_refused(
    world: StoreUnderTest, call: Callable[[Store, str], object], key: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        call(world.store, key)
    assert key in str(refused.value) or ascii(key)[1:-1] in str(refused.value)


@pytest.mark.parametrize("prefix", [key for key in BAD_KEYS if key != "/"], ids=ascii)
def test_a_bad_prefix_is_refused(world: StoreUnderTest, prefix: str) -> None:
    with pytest.raises(BadRequest):
        world.store.list(prefix)
    with pytest.raises(BadRequest):
        world.store.watch(prefix, 0)


def test_a_value_that_is_no_text_is_refused(world: StoreUnderTest) -> None:
    with pytest.raises(BadRequest, match=world.key("a")):
        world.store.put(world.key("a"), "\udc80")


@pytest.mark.parametrize("call", [CALLS["get"], CALLS["refresh"], CALLS["delete"]])
def test_a_missing_key_is_not_found(
    world: StoreUnderTest, call: Callable[[Store, str], object]
) -> None:
    with pytest.raises(KeyNotFound, match=world.key("missing")):
        call(world.store, world.key("missing"))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_directory_is_not_a_file(
    world: StoreUnderTest, call: Callable[[Store, str], object]
) -> None:
    world.store.put(world.key("dir/file"), "v")
    with pytest.raises(NotAFile):
        call(world.store, world.key("dir"))
    assert world.store.get(world.key("dir/file")).expires_at is None


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_file_is_not_a_directory(
    world: StoreUnderTest, call: Callable[[Store, str], object]
) -> None:
    world.store.put(world.key("file"), "v")
    with pytest.raises(NotADirectory):
        call(world.store, world.key("file/below"))


def test_a_directory_stays_when_its_last_file_goes_where_there_are_directories(
    world: StoreUnderTest,
) -> None:
    world.store.put(world.key("dir/file"), "v")
    world.store.delete(world.key("dir/file"))
    if world.has_directories:
        with pytest.raises(NotAFile):
            world.store.put(world.key("dir"), "v")
        world.store.delete(world.key("dir"), recursive=True)
    world.store.put(world.key("dir"), "v")


def test_a_listing_has_all_files_below_sorted_by_whole_key(world: StoreUnderTest) -> None:
    names = ["a/b/c", "a-x", "a/b-x", "a", "b"]
    for name in names[:3] + names[4:]:
        world.store.put(world.key(name), name)
    listing = world.store.list(world.place)
    expected = sorted(world.key(name) for name in names if name != "a")
    assert [entry.key for entry in listing.entries] == expected
    assert all(world.store.get(entry.key) == entry for entry in listing.entries)


def test_a_prefix_holds_whole_segments(world: StoreUnderTest) -> None:
    world.store.put(world.key("app/x"), "1")
    world.store.put(world.key("app2/x"), "2")
    assert [e.key for e in world.store.list(world.key("app")).entries] == [world.key("app/x")]


def test_a_listing_of_a_file_is_that_file(world: StoreUnderTest) -> None:
    entry = world.store.put(world.key("file"), "v")
    assert world.store.list(world.key("file")).entries == (entry,)


@pytest.mark.parametrize("name", ["missing", "file/below", "missing/below"])
def test_a_listing_of_nothing_is_empty_at_the_index_of_the_store(
    world: StoreUnderTest, name: str
) -> None:
    world.store.put(world.key("file"), "v")
    index = world.store.put(world.key("other"), "v").modified
    listing = world.store.list(world.key(name))
    assert listing.entries == ()
    assert listing.index == index
    assert listing.cluster == world.store.list("/").cluster != ""


def test_a_listing_of_the_root_has_everything(world: StoreUnderTest) -> None:
    entry = world.store.put(world.key("file"), "v")
    listing = world.store.list("/")
    assert entry in listing.entries
    assert listing.index == entry.modified


def test_hidden_keys_are_listed_where_the_server_can(world: StoreUnderTest) -> None:
    world.store.put(world.key("_hidden/x"), "v")
    world.store.put(world.key("seen"), "v")
    names = {entry.key for entry in world.store.list(world.place).entries}
    assert names - {world.key("_hidden/x")} == {world.key("seen")}
    assert (world.key("_hidden/x") in names) == (world.kind != "etcd")
    assert len(world.store.list(world.key("_hidden")).entries) == 1


@pytest.mark.timeout(300)
def test_very_many_keys_are_one_listing(served: StoreUnderTest) -> None:
    names = [served.key(f"{number % 100:02}/{number:05}") for number in range(KEYS)]
    fill(served.url, names)
    listing = served.store.list(served.place)
    assert [entry.key for entry in listing.entries] == sorted(names)
    assert all(entry.value == entry.key for entry in listing.entries)
    served.store.delete(served.place, recursive=True)


def test_a_plain_put_makes_a_new_file_where_files_are_more_than_keys(world: StoreUnderTest) -> None:
    first = world.store.put(world.key("a"), "1")
    second = world.store.put(world.key("a"), "2")
    assert second.modified > first.modified
    assert second.created == (second.modified if world.has_directories else first.created)


@pytest.mark.parametrize("when", [Present(), WithValue("1"), None], ids=str)
def test_a_conditional_put_goes_on_with_the_file(
    world: StoreUnderTest, when: PutCondition | None
) -> None:
    first = world.store.put(world.key("a"), "1")
    second = world.store.put(world.key("a"), "2", when=when or AtIndex(first.modified))
    assert second.created == first.created
    assert second.modified > first.modified
    assert world.store.get(world.key("a")) == second


def test_a_put_that_wants_the_key_absent_writes_only_then(world: StoreUnderTest) -> None:
    first = world.store.put(world.key("a"), "1", when=Absent())
    with pytest.raises(KeyExists):
        world.store.put(world.key("a"), "2", when=Absent())
    assert world.store.get(world.key("a")) == first
    world.store.put(world.key("dir/file"), "v")
    with pytest.raises(KeyExists):
        world.store.put(world.key("dir"), "v", when=Absent())


@pytest.mark.parametrize("value", ["2", ""])
@pytest.mark.parametrize("when", [*HELD_BY_A_FILE, WithValue("")], ids=str)
def test_a_condition_on_a_file_needs_one(
    world: StoreUnderTest, when: PutCondition, value: str
) -> None:
    with pytest.raises(KeyNotFound):
        world.store.put(world.key("missing"), value, when=when)
    world.store.put(world.key("dir/file"), "v", ttl_s=60)
    with pytest.raises(NotAFile):
        world.store.put(world.key("dir"), value, when=when)


@pytest.mark.parametrize("old", ["", "1"])
@pytest.mark.parametrize("new", ["", "2"])
@pytest.mark.parametrize("ttl_s", [None, 60])
def test_a_put_compares_the_value(
    world: StoreUnderTest, old: str, new: str, ttl_s: int | None
) -> None:
    first = world.store.put(world.key("a"), old, ttl_s=30)
    with pytest.raises(CompareFailed):
        world.store.put(world.key("a"), new, when=WithValue(f"{old}x"))
    with pytest.raises(CompareFailed):
        world.store.put(world.key("a"), new, when=WithValue("" if old else "1"))
    assert world.store.get(world.key("a")) == first
    second = world.store.put(world.key("a"), new, when=WithValue(old), ttl_s=ttl_s)
    assert world.store.get(world.key("a")) == second
    assert second.value == new
    assert (second.expires_at is None) == (ttl_s is None)


@pytest.mark.parametrize("new", ["", "2"])
def test_a_put_compares_the_index(world: StoreUnderTest, new: str) -> None:
    first = world.store.put(world.key("a"), "1")
    with pytest.raises(CompareFailed):
        world.store.put(world.key("a"), new, when=AtIndex(first.modified + 1))
    assert world.store.put(world.key("a"), new, when=AtIndex(first.modified)).value == new


@pytest.mark.parametrize("new", ["", "2"])
def test_a_put_that_wants_the_key_present_keeps_it_one_file(
    world: StoreUnderTest, new: str
) -> None:
    first = world.store.put(world.key("a"), "1", ttl_s=60)
    second = world.store.put(world.key("a"), new, when=Present())
    assert (second.value, second.created, second.expires_at) == (new, first.created, None)


def test_an_index_that_servers_take_for_no_condition_is_refused(world: StoreUnderTest) -> None:
    world.store.put(world.key("a"), "1")
    with pytest.raises(BadRequest):
        world.store.put(world.key("a"), "2", when=AtIndex(0))
    with pytest.raises(BadRequest):
        world.store.delete(world.key("a"), when=AtIndex(0))
    assert world.store.get(world.key("a")).value == "1"


def test_a_delete_removes_one_file(world: StoreUnderTest) -> None:
    world.store.put(world.key("a"), "1")
    world.store.put(world.key("ab"), "2")
    world.store.delete(world.key("a"))
    assert [entry.key for entry in world.store.list(world.place).entries] == [world.key("ab")]


@pytest.mark.parametrize("value", ["", "1"])
def test_a_delete_compares_the_value(world: StoreUnderTest, value: str) -> None:
    world.store.put(world.key("a"), value)
    with pytest.raises(CompareFailed):
        world.store.delete(world.key("a"), when=WithValue("other"))
    world.store.delete(world.key("a"), when=WithValue(value))
    with pytest.raises(KeyNotFound):
        world.store.delete(world.key("a"), when=WithValue(value))


def test_a_delete_compares_the_index(world: StoreUnderTest) -> None:
    index = world.store.put(world.key("a"), "1").modified
    with pytest.raises(CompareFailed):
        world.store.delete(world.key("a"), when=AtIndex(index + 1))
    world.store.delete(world.key("a"), when=AtIndex(index))
    assert world.gone(world.key("a"))


def test_a_condition_never_removes_a_directory(world: StoreUnderTest) -> None:
    index = world.store.put(world.key("dir/file"), "v").modified
    for when in (AtIndex(index), WithValue("v"), WithValue("")):
        with pytest.raises(NotAFile):
            world.store.delete(world.key("dir"), recursive=True, when=when)


def test_a_recursive_delete_removes_all_below_and_nothing_beside(world: StoreUnderTest) -> None:
    for name in ("dir/a", "dir/b/c", "dir/_hidden", "dir2"):
        world.store.put(world.key(name), name)
    world.store.delete(world.key("dir"), recursive=True)
    assert [entry.key for entry in world.store.list(world.place).entries] == [world.key("dir2")]
    with pytest.raises(KeyNotFound):
        world.store.get(world.key("dir/_hidden"))
    world.store.delete(world.key("dir2"), recursive=True)
    assert world.gone(world.key("dir2"))


def test_a_ttl_ends_a_file_in_its_time(world: StoreUnderTest) -> None:
    entry = world.store.put(world.key("a"), "1", ttl_s=1)
    assert entry.expires_at is not None
    world.let_expire(1)
    wait_until(lambda: world.gone(world.key("a")), "the key has expired")


def test_who_was_cut_off_longer_than_its_ttl_finds_its_key_gone(served: StoreUnderTest) -> None:
    key = served.key("held")
    with FaultyLink(served.url) as cable, connect(cable.url) as holder:
        holder.put(key, "1", ttl_s=served.shortest_s, when=Absent())
        holder.refresh(key, served.shortest_s)
        cable.cut()
        with pytest.raises(Unavailable):
            holder.refresh(key, served.shortest_s)
        wait_until(lambda: served.gone(key), "the server has expired the key")
        other = served.store.put(key, "2", when=Absent())
        served.store.delete(key)
        cable.mend()
        with pytest.raises(KeyNotFound):
            holder.refresh(key, served.shortest_s)
        assert holder.put(key, "3", when=Absent()).modified > other.modified


def test_a_put_without_ttl_removes_one(world: StoreUnderTest) -> None:
    world.store.put(world.key("a"), "1", ttl_s=60)
    assert world.store.put(world.key("a"), "1").expires_at is None


def test_a_refresh_moves_the_end_and_keeps_the_value(world: StoreUnderTest) -> None:
    first = world.store.put(world.key("a"), "1", ttl_s=30)
    world.store.refresh(world.key("a"), 90)
    now = world.store.get(world.key("a"))
    assert now.value == "1"
    assert first.expires_at is not None
    assert now.expires_at is not None
    assert 50 < now.expires_at - first.expires_at < 70
    assert now.modified > first.modified


@pytest.mark.parametrize("ttl_s", [0, -1, 2**31])
def test_a_ttl_that_servers_count_differently_is_refused(world: StoreUnderTest, ttl_s: int) -> None:
    world.store.put(world.key("a"), "1")
    with pytest.raises(BadRequest, match=str(ttl_s)):
        world.store.put(world.key("a"), "2", ttl_s=ttl_s)
    with pytest.raises(BadRequest, match=str(ttl_s)):
        world.store.refresh(world.key("a"), ttl_s)
    assert world.store.get(world.key("a")).value == "1"


@pytest.mark.parametrize("by_value", [True, False], ids=["by-value", "by-index"])
def test_eight_threads_that_swap_lose_no_increment(
    world: StoreUnderTest, *, by_value: bool
) -> None:
    world.store.put(world.key("count"), "0")
    with ThreadPoolExecutor(WRITERS) as threads:
        runs = [
            threads.submit(increment, world.store, world.key("count"), INCREMENTS, by_value)
            for _ in range(WRITERS)
        ]
        for run in runs:
            run.result()
    assert world.store.get(world.key("count")).value == str(WRITERS * INCREMENTS)


@pytest.mark.timeout(400)
def test_sixteen_processes_that_swap_lose_no_increment(served: StoreUnderTest) -> None:
    served.store.put(served.key("count"), "0")
    command = [sys.executable, "-m", "tests.coordinator.client.cas_contender"]
    command += [served.url, served.key("count"), str(PROCESS_INCREMENTS)]
    contenders = [subprocess.Popen(command, cwd=ROOT) for _ in range(PROCESSES)]
    assert [contender.wait(350) for contender in contenders] == [0] * PROCESSES
    assert served.store.get(served.key("count")).value == str(PROCESSES * PROCESS_INCREMENTS)


def test_of_many_who_want_a_key_absent_one_gets_it(world: StoreUnderTest) -> None:
    def claim(number: int) -> int:
        try:
            world.store.put(world.key("lock"), str(number), when=Absent())
        except KeyExists:
            return 0
        return 1

    with ThreadPoolExecutor(WRITERS) as threads:
        assert sum(threads.map(claim, range(WRITERS))) == 1
