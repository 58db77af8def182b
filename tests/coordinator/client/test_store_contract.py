"""What every Store does: reads, writes, conditions and their errors."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from rig.processes import LONG, Running, python, wait_until
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


def test_a_written_file_is_read_back(subject: StoreUnderTest) -> None:
    written = subject.store.put(subject.key("a"), "one")
    assert written.key == subject.key("a")
    assert written.value == "one"
    assert written.created == written.modified > 0
    assert written.expires_at is None
    assert subject.store.get(subject.key("a")) == written
    assert subject.store.get(subject.key("a"), quorum=False) == written


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_text_is_a_value(subject: StoreUnderTest, value: str) -> None:
    subject.store.put(subject.key("a"), value)
    assert subject.store.get(subject.key("a")).value == value


@pytest.mark.parametrize("segment", SEGMENTS)
def test_any_text_is_a_segment_of_a_key(subject: StoreUnderTest, segment: str) -> None:
    key = subject.key(f"{segment}/{segment}")
    assert subject.store.put(key, "v").key == key
    assert subject.store.get(key).value == "v"
    assert [entry.key for entry in subject.store.list(subject.key(segment)).entries] == [key]
    subject.store.refresh(key, 60)
    subject.store.delete(key)
    with pytest.raises(KeyNotFound):
        subject.store.get(key)


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_key_that_servers_would_clean_is_refused(
    subject: StoreUnderTest, call: Callable[[Store, str], object], key: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        call(subject.store, key)
    assert key in str(refused.value) or ascii(key)[1:-1] in str(refused.value)


@pytest.mark.parametrize("prefix", [key for key in BAD_KEYS if key != "/"], ids=ascii)
def test_a_bad_prefix_is_refused(subject: StoreUnderTest, prefix: str) -> None:
    with pytest.raises(BadRequest):
        subject.store.list(prefix)
    with pytest.raises(BadRequest):
        subject.store.watch(prefix, 0)


def test_a_value_that_is_not_text_is_refused(subject: StoreUnderTest) -> None:
    with pytest.raises(BadRequest, match=subject.key("a")):
        subject.store.put(subject.key("a"), "\udc80")


@pytest.mark.parametrize("call", [CALLS["get"], CALLS["refresh"], CALLS["delete"]])
def test_a_missing_key_is_not_found(
    subject: StoreUnderTest, call: Callable[[Store, str], object]
) -> None:
    with pytest.raises(KeyNotFound, match=subject.key("missing")):
        call(subject.store, subject.key("missing"))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_directory_is_not_a_file(
    subject: StoreUnderTest, call: Callable[[Store, str], object]
) -> None:
    subject.store.put(subject.key("dir/file"), "v")
    with pytest.raises(NotAFile):
        call(subject.store, subject.key("dir"))
    assert subject.store.get(subject.key("dir/file")).expires_at is None


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_file_is_not_a_directory(
    subject: StoreUnderTest, call: Callable[[Store, str], object]
) -> None:
    subject.store.put(subject.key("file"), "v")
    with pytest.raises(NotADirectory):
        call(subject.store, subject.key("file/below"))


def test_a_directory_outlives_its_last_file_where_directories_exist(
    subject: StoreUnderTest,
) -> None:
    subject.store.put(subject.key("dir/file"), "v")
    subject.store.delete(subject.key("dir/file"))
    if subject.has_directories:
        with pytest.raises(NotAFile):
            subject.store.put(subject.key("dir"), "v")
        subject.store.delete(subject.key("dir"), recursive=True)
    subject.store.put(subject.key("dir"), "v")


def test_an_empty_directory_can_be_removed_and_no_other_one(subject: StoreUnderTest) -> None:
    store, directory = subject.store, subject.key("dir")
    store.remove_empty(directory)
    store.put(f"{directory}/below/file", "v")
    store.remove_empty(directory)
    store.remove_empty(f"{directory}/below")
    assert store.get(f"{directory}/below/file").value == "v"
    store.delete(f"{directory}/below/file")
    store.remove_empty(directory)
    store.remove_empty(f"{directory}/below")
    store.remove_empty(directory)
    store.put(directory, "v")


def test_a_listing_is_sorted_by_whole_key(subject: StoreUnderTest) -> None:
    names = ["a/b/c", "a-x", "a/b-x", "a", "b"]
    for name in names[:3] + names[4:]:
        subject.store.put(subject.key(name), name)
    listing = subject.store.list(subject.prefix)
    expected = sorted(subject.key(name) for name in names if name != "a")
    assert [entry.key for entry in listing.entries] == expected
    assert all(subject.store.get(entry.key) == entry for entry in listing.entries)


def test_a_prefix_holds_whole_segments(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("app/x"), "1")
    subject.store.put(subject.key("app2/x"), "2")
    assert [e.key for e in subject.store.list(subject.key("app")).entries] == [subject.key("app/x")]


def test_a_listing_of_a_file_is_that_file(subject: StoreUnderTest) -> None:
    entry = subject.store.put(subject.key("file"), "v")
    assert subject.store.list(subject.key("file")).entries == (entry,)


@pytest.mark.parametrize("name", ["missing", "file/below", "missing/below"])
def test_a_listing_of_nothing_is_empty_and_has_the_stores_index(
    subject: StoreUnderTest, name: str
) -> None:
    subject.store.put(subject.key("file"), "v")
    index = subject.store.put(subject.key("other"), "v").modified
    listing = subject.store.list(subject.key(name))
    assert listing.entries == ()
    assert listing.index == index
    assert listing.cluster == subject.store.list("/").cluster != ""


def test_a_listing_of_the_root_has_everything(subject: StoreUnderTest) -> None:
    entry = subject.store.put(subject.key("file"), "v")
    listing = subject.store.list("/")
    assert entry in listing.entries
    assert listing.index == entry.modified


def test_hidden_keys_are_listed_where_the_server_supports_it(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("_hidden/x"), "v")
    subject.store.put(subject.key("seen"), "v")
    names = {entry.key for entry in subject.store.list(subject.prefix).entries}
    assert names - {subject.key("_hidden/x")} == {subject.key("seen")}
    assert (subject.key("_hidden/x") in names) == (subject.kind != "etcd")
    assert len(subject.store.list(subject.key("_hidden")).entries) == 1


@pytest.mark.timeout(300)
def test_a_large_listing_is_complete(served: StoreUnderTest) -> None:
    names = [served.key(f"{number % 100:02}/{number:05}") for number in range(KEYS)]
    fill(served.url, names)
    listing = served.store.list(served.prefix)
    assert [entry.key for entry in listing.entries] == sorted(names)
    assert all(entry.value == entry.key for entry in listing.entries)
    served.store.delete(served.prefix, recursive=True)


def test_an_unconditional_put_makes_a_new_file_on_the_v2_api(subject: StoreUnderTest) -> None:
    first = subject.store.put(subject.key("a"), "1")
    second = subject.store.put(subject.key("a"), "2")
    assert second.modified > first.modified
    assert second.created == (second.modified if subject.has_directories else first.created)


@pytest.mark.parametrize("when", [Present(), WithValue("1"), None], ids=str)
def test_a_conditional_put_keeps_the_file(
    subject: StoreUnderTest, when: PutCondition | None
) -> None:
    first = subject.store.put(subject.key("a"), "1")
    second = subject.store.put(subject.key("a"), "2", when=when or AtIndex(first.modified))
    assert second.created == first.created
    assert second.modified > first.modified
    assert subject.store.get(subject.key("a")) == second


def test_a_put_if_absent_writes_only_a_new_key(subject: StoreUnderTest) -> None:
    first = subject.store.put(subject.key("a"), "1", when=Absent())
    with pytest.raises(KeyExists):
        subject.store.put(subject.key("a"), "2", when=Absent())
    assert subject.store.get(subject.key("a")) == first
    subject.store.put(subject.key("dir/file"), "v")
    with pytest.raises(KeyExists):
        subject.store.put(subject.key("dir"), "v", when=Absent())


@pytest.mark.parametrize("value", ["2", ""])
@pytest.mark.parametrize("when", [*HELD_BY_A_FILE, WithValue("")], ids=str)
def test_a_condition_on_a_missing_key_fails(
    subject: StoreUnderTest, when: PutCondition, value: str
) -> None:
    with pytest.raises(KeyNotFound):
        subject.store.put(subject.key("missing"), value, when=when)
    subject.store.put(subject.key("dir/file"), "v", ttl_s=60)
    with pytest.raises(NotAFile):
        subject.store.put(subject.key("dir"), value, when=when)


@pytest.mark.parametrize("old", ["", "1"])
@pytest.mark.parametrize("new", ["", "2"])
@pytest.mark.parametrize("ttl_s", [None, 60])
def test_a_put_compares_the_value(
    subject: StoreUnderTest, old: str, new: str, ttl_s: int | None
) -> None:
    first = subject.store.put(subject.key("a"), old, ttl_s=30)
    with pytest.raises(CompareFailed):
        subject.store.put(subject.key("a"), new, when=WithValue(f"{old}x"))
    with pytest.raises(CompareFailed):
        subject.store.put(subject.key("a"), new, when=WithValue("" if old else "1"))
    assert subject.store.get(subject.key("a")) == first
    second = subject.store.put(subject.key("a"), new, when=WithValue(old), ttl_s=ttl_s)
    assert subject.store.get(subject.key("a")) == second
    assert second.value == new
    assert (second.expires_at is None) == (ttl_s is None)


@pytest.mark.parametrize("new", ["", "2"])
def test_a_put_compares_the_index(subject: StoreUnderTest, new: str) -> None:
    first = subject.store.put(subject.key("a"), "1")
    with pytest.raises(CompareFailed):
        subject.store.put(subject.key("a"), new, when=AtIndex(first.modified + 1))
    assert subject.store.put(subject.key("a"), new, when=AtIndex(first.modified)).value == new


@pytest.mark.parametrize("new", ["", "2"])
def test_a_put_if_present_keeps_the_file(subject: StoreUnderTest, new: str) -> None:
    first = subject.store.put(subject.key("a"), "1", ttl_s=60)
    second = subject.store.put(subject.key("a"), new, when=Present())
    assert (second.value, second.created, second.expires_at) == (new, first.created, None)


def test_index_0_is_refused_as_a_condition(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("a"), "1")
    with pytest.raises(BadRequest):
        subject.store.put(subject.key("a"), "2", when=AtIndex(0))
    with pytest.raises(BadRequest):
        subject.store.delete(subject.key("a"), when=AtIndex(0))
    assert subject.store.get(subject.key("a")).value == "1"


def test_a_delete_removes_one_file(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("a"), "1")
    subject.store.put(subject.key("ab"), "2")
    subject.store.delete(subject.key("a"))
    assert [entry.key for entry in subject.store.list(subject.prefix).entries] == [
        subject.key("ab")
    ]


@pytest.mark.parametrize("value", ["", "1"])
def test_a_delete_compares_the_value(subject: StoreUnderTest, value: str) -> None:
    subject.store.put(subject.key("a"), value)
    with pytest.raises(CompareFailed):
        subject.store.delete(subject.key("a"), when=WithValue("other"))
    subject.store.delete(subject.key("a"), when=WithValue(value))
    with pytest.raises(KeyNotFound):
        subject.store.delete(subject.key("a"), when=WithValue(value))


def test_a_delete_compares_the_index(subject: StoreUnderTest) -> None:
    index = subject.store.put(subject.key("a"), "1").modified
    with pytest.raises(CompareFailed):
        subject.store.delete(subject.key("a"), when=AtIndex(index + 1))
    subject.store.delete(subject.key("a"), when=AtIndex(index))
    assert subject.gone(subject.key("a"))


def test_a_condition_never_removes_a_directory(subject: StoreUnderTest) -> None:
    index = subject.store.put(subject.key("dir/file"), "v").modified
    for when in (AtIndex(index), WithValue("v"), WithValue("")):
        with pytest.raises(NotAFile):
            subject.store.delete(subject.key("dir"), recursive=True, when=when)


def test_a_recursive_delete_removes_exactly_the_keys_below(subject: StoreUnderTest) -> None:
    for name in ("dir/a", "dir/b/c", "dir/_hidden", "dir2"):
        subject.store.put(subject.key(name), name)
    subject.store.delete(subject.key("dir"), recursive=True)
    assert [entry.key for entry in subject.store.list(subject.prefix).entries] == [
        subject.key("dir2")
    ]
    with pytest.raises(KeyNotFound):
        subject.store.get(subject.key("dir/_hidden"))
    subject.store.delete(subject.key("dir2"), recursive=True)
    assert subject.gone(subject.key("dir2"))


def test_a_key_expires_after_its_ttl(subject: StoreUnderTest) -> None:
    entry = subject.store.put(subject.key("a"), "1", ttl_s=1)
    assert entry.expires_at is not None
    subject.let_expire(1)
    wait_until(lambda: subject.gone(subject.key("a")), "the key has expired")


def test_a_client_cut_off_for_longer_than_the_ttl_finds_its_key_expired(
    served: StoreUnderTest,
) -> None:
    key = served.key("held")
    with FaultyLink(served.url) as link, connect(link.url) as holder:
        holder.put(key, "1", ttl_s=served.shortest_s, when=Absent())
        holder.refresh(key, served.shortest_s)
        link.cut()
        with pytest.raises(Unavailable):
            holder.refresh(key, served.shortest_s)
        wait_until(lambda: served.gone(key), "the server has expired the key")
        other = served.store.put(key, "2", when=Absent())
        served.store.delete(key)
        link.restore()
        with pytest.raises(KeyNotFound):
            holder.refresh(key, served.shortest_s)
        assert holder.put(key, "3", when=Absent()).modified > other.modified


def test_a_put_without_a_ttl_removes_the_ttl(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("a"), "1", ttl_s=60)
    assert subject.store.put(subject.key("a"), "1").expires_at is None


def test_a_refresh_moves_the_expiry_and_keeps_the_value(subject: StoreUnderTest) -> None:
    first = subject.store.put(subject.key("a"), "1", ttl_s=30)
    subject.store.refresh(subject.key("a"), 90)
    now = subject.store.get(subject.key("a"))
    assert now.value == "1"
    assert first.expires_at is not None
    assert now.expires_at is not None
    assert 50 < now.expires_at - first.expires_at < 70
    assert now.modified > first.modified


@pytest.mark.parametrize("ttl_s", [0, -1, 2**31])
def test_a_ttl_that_overflows_on_some_servers_is_refused(
    subject: StoreUnderTest, ttl_s: int
) -> None:
    subject.store.put(subject.key("a"), "1")
    with pytest.raises(BadRequest, match=str(ttl_s)):
        subject.store.put(subject.key("a"), "2", ttl_s=ttl_s)
    with pytest.raises(BadRequest, match=str(ttl_s)):
        subject.store.refresh(subject.key("a"), ttl_s)
    assert subject.store.get(subject.key("a")).value == "1"


@pytest.mark.parametrize("by_value", [True, False], ids=["by-value", "by-index"])
def test_eight_threads_that_swap_lose_no_increment(
    subject: StoreUnderTest, *, by_value: bool
) -> None:
    subject.store.put(subject.key("count"), "0")
    with ThreadPoolExecutor(WRITERS) as threads:
        runs = [
            threads.submit(increment, subject.store, subject.key("count"), INCREMENTS, by_value)
            for _ in range(WRITERS)
        ]
        for run in runs:
            run.result()
    assert subject.store.get(subject.key("count")).value == str(WRITERS * INCREMENTS)


@pytest.mark.timeout(400)
def test_sixteen_processes_that_swap_lose_no_increment(
    served: StoreUnderTest, tmp_path: Path
) -> None:
    served.store.put(served.key("count"), "0")
    contender = "tests.coordinator.client.cas_contender"
    command = python(contender, served.url, served.key("count"), str(PROCESS_INCREMENTS))
    contenders = [Running(command, tmp_path / str(number)) for number in range(PROCESSES)]
    codes = [contender.process.wait(350) for contender in contenders]
    assert codes == [0] * PROCESSES, [contender.tail() for contender in contenders]
    assert served.store.get(served.key("count")).value == str(PROCESSES * PROCESS_INCREMENTS)


def test_of_many_puts_if_absent_one_succeeds(subject: StoreUnderTest) -> None:
    def claim(number: int) -> int:
        try:
            subject.store.put(subject.key("lock"), str(number), when=Absent())
        except KeyExists:
            return 0
        return 1

    with ThreadPoolExecutor(WRITERS) as threads:
        assert sum(threads.map(claim, range(WRITERS))) == 1
