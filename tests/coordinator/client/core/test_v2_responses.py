"""The small pure parts: keys, wire, cache file, back-off."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.client import (
    Entry,
    Event,
    HistoryCleared,
    KeyNotFound,
    Progress,
    Unavailable,
    mirror_cache,
)
from coordinator.client.core import key_paths, v2_responses
from coordinator.client.core.backoff import FIRST_S, LONGEST_S, pause_s

SAVED = mirror_cache.Saved("/app", "c", 7, 12.5, (Entry("/app/a", "wört", 3, 7, 99.25),))


@pytest.mark.parametrize(
    ("prefix", "key", "held"),
    [
        ("/", "/a", True),
        ("/", "/", True),
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a/b", "/a", False),
    ],
)
def test_a_prefix_holds_whole_segments(prefix: str, key: str, *, held: bool) -> None:
    assert key_paths.holds(prefix, key) == held


@pytest.mark.parametrize(
    ("prefix", "key", "hidden"),
    [
        ("/", "/_a", True),
        ("/", "/a_b", False),
        ("/a", "/a/_b/c", True),
        ("/_a", "/_a/b", False),
        ("/_a", "/_a", False),
    ],
)
def test_a_hidden_key_is_one_below_a_prefix(prefix: str, key: str, *, hidden: bool) -> None:
    assert key_paths.is_hidden(prefix, key) == hidden


def test_parents_come_nearest_first() -> None:
    assert key_paths.parents("/a/b/c") == ["/a/b", "/a"]
    assert key_paths.parents("/a") == []


def test_no_segment_of_a_key_is_syntax_of_a_url() -> None:
    assert key_paths.url_path("/a b/%2F/ü?#") == "/v2/keys/a%20b/%252F/%C3%BC%3F%23"
    assert key_paths.url_path("/") == "/v2/keys"


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 300), max_size=20))
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    stream = b"".join(line + b"\n" for line in lines) + b"unfinished"
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = v2_responses.Lines()
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert [line for piece in pieces for line in reader.feed(piece)] == lines


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v2_responses, "LINE_BYTES_MAX", 100)
    reader = v2_responses.Lines()
    assert reader.feed(b"x" * 100) == []
    with pytest.raises(v2_responses.Malformed):
        reader.feed(b"x")


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ('{"action":"progress","index":9}', Progress(9)),
        ('{"action":"delete","node":{"key":"/p/x","modifiedIndex":9}}', Event(9, "/p/x", None)),
        (
            '{"action":"expire","node":{"key":"/","dir":true,"modifiedIndex":9}}',
            Event(9, "/p", None),
        ),
        ('{"action":"delete","node":{"key":"/px","modifiedIndex":9}}', Progress(9)),
        ('{"action":"delete","node":{"key":"/p/_x","modifiedIndex":9}}', Progress(9)),
        ('{"action":"set","node":{"key":"/","value":"","modifiedIndex":9}}', Progress(9)),
        ('{"action":"create","node":{"key":"/p/d","dir":true,"modifiedIndex":9}}', Progress(9)),
        (
            (
                '{"action":"set","node":{"key":"/p/d","dir":true,"modifiedIndex":9},'
                '"prevNode":{"key":"/p/d","value":"v"}}'
            ),
            Event(9, "/p/d", None),
        ),
        (
            (
                '{"action":"update","node":{"key":"/p/d","dir":true,"modifiedIndex":9},'
                '"prevNode":{"key":"/p/d","dir":true}}'
            ),
            Progress(9),
        ),
        (
            (
                '{"action":"compareAndSwap","node":{"key":"/p","value":"v","modifiedIndex":9,'
                '"createdIndex":4,"expiration":"1970-01-01T00:01:00.123456789Z"}}'
            ),
            Event(9, "/p", Entry("/p", "v", 4, 9, 60.123457)),
        ),
    ],
)
def test_an_event_means_what_it_does_to_files_below_the_prefix(
    line: str, change: Event | Progress
) -> None:
    assert v2_responses.decode(line.encode()).change("/p", hidden=False) == change


def test_an_action_of_a_later_version_asks_for_a_listing() -> None:
    line = b'{"action":"merge","node":{"key":"/p","modifiedIndex":9}}'
    with pytest.raises(HistoryCleared, match="merge"):
        v2_responses.decode(line).change("/p", hidden=True)


def test_an_error_says_what_was_asked_and_the_words_of_the_server() -> None:
    line = b'{"errorCode":100,"message":"Key not found","cause":"/a","index":4}'
    error = v2_responses.decode(line).error("get /a/b")
    assert isinstance(error, KeyNotFound)
    assert str(error) == "get /a/b: Key not found (/a)"
    assert isinstance(
        v2_responses.decode(b'{"errorCode":301,"message":"x"}').error(""), Unavailable
    )


def test_a_snapshot_comes_back_as_it_was() -> None:
    assert mirror_cache.decode(mirror_cache.encode(SAVED), "/app") == SAVED
    assert SAVED.listing().entries == SAVED.entries


def test_a_whole_file_of_something_else_is_no_snapshot() -> None:
    body = b"\xc1"
    digest = hashlib.sha256(body).hexdigest().encode()
    with pytest.raises(mirror_cache.Unusable, match="not a snapshot"):
        mirror_cache.decode(b"slashetc-mirror 1 " + digest + b"\n" + body, "/app")


@given(st.data())
def test_a_snapshot_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    text = bytearray(mirror_cache.encode(SAVED))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(mirror_cache.Unusable):
        mirror_cache.decode(bytes(text), "/app")


@given(st.integers(0, 200))
def test_a_snapshot_cut_short_is_refused(length: int) -> None:
    text = mirror_cache.encode(SAVED)
    with pytest.raises(mirror_cache.Unusable):
        mirror_cache.decode(text[: min(length, len(text) - 1)], "/app")


@given(st.integers(1, 1_000_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_bounded_and_never_nothing(failures: int, roll: float) -> None:
    assert FIRST_S / 2 <= pause_s(failures, roll) <= LONGEST_S


def test_pauses_double_and_are_spread() -> None:
    assert [pause_s(n, 0.0) for n in (1, 2, 3)] == [FIRST_S / 2, FIRST_S, FIRST_S * 2]
    assert pause_s(1, 0.5) > pause_s(1, 0.0)
