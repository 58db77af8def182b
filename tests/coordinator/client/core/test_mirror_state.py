"""MirrorState against a plain model, for any history of a store."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from coordinator.client import Changes, Entry, Event, Listing, Progress, View
from coordinator.client.core.mirror_state import MirrorState

KEYS = st.sampled_from(["/a", "/a/b", "/a/b/c", "/a/bc", "/ab", "/d"])
FILES = ["/a/b/c", "/a/bc", "/ab", "/d"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(FILES)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("mark"), st.just("")),
        st.tuples(st.just("cut"), st.just("")),
        st.tuples(st.sampled_from(["list", "other"]), st.just("")),
    ),
    max_size=40,
)


def entry(key: str, index: int) -> Entry:
    return Entry(key, str(index), index, index)


def listing(*entries: Entry, index: int, cluster: str = "c") -> Listing:
    return Listing(cluster, index, entries)


def deliveries(steps: list[tuple[str, str]]) -> Iterator[tuple[Changes | None, dict[str, Entry]]]:
    """Play steps to a MirrorState; yield what it says beside what the store has."""
    replay, files, index, cluster = MirrorState(), dict[str, Entry](), 0, "c"
    batch: list[Event | Progress] = []
    yield replay.listed(Listing(cluster, index, ())), dict(files)
    for step, key in steps:
        index += 1
        match step:
            case "put":
                files[key] = entry(key, index)
                batch.append(Event(index, key, files[key]))
            case "delete":
                files = {n: e for n, e in files.items() if n != key and not n.startswith(f"{key}/")}
                batch.append(Event(index, key, None))
            case "mark":
                batch.append(Progress(index))
            case "cut":
                yield replay.followed(batch), dict(files)
                batch = []
            case _:
                # What the batch held was missed: the history was cleared.
                if step == "other":
                    index, cluster = 1, f"{cluster}x"
                    files = {name: entry(name, 1) for name in list(files)[:2]}
                yield replay.listed(Listing(cluster, index, tuple(files.values()))), dict(files)
                batch = []
        assert replay.cluster == cluster
    yield replay.followed(batch), dict(files)


@given(STEPS)
def test_a_view_that_applies_all_changes_equals_the_store(steps: list[tuple[str, str]]) -> None:
    view = View()
    for changes, files in deliveries(steps):
        if changes is not None:
            view.apply(changes)
        assert dict(view.entries) == files


@given(STEPS)
def test_a_delivery_has_each_changed_key_once(
    steps: list[tuple[str, str]],
) -> None:
    before: dict[str, Entry] = {}
    for number, (changes, files) in enumerate(deliveries(steps)):
        if changes is not None:
            assert changes.reset == (number == 0)
            assert len(set(changes.touched())) == len(changes.touched())
            assert all(before.get(each.key) != each for each in changes.entries)
            assert all(key in before for key in changes.removed)
            assert changes.touched() or changes.reset
        before = files


def test_the_first_listing_resets_even_if_it_is_empty() -> None:
    assert MirrorState().listed(listing(index=3)) == Changes("c", 3, reset=True)


def test_a_listing_that_changes_nothing_delivers_nothing() -> None:
    replay = MirrorState()
    replay.listed(listing(entry("/a", 1), index=1))
    assert replay.listed(listing(entry("/a", 1), index=9)) is None
    assert replay.index == 9


def test_events_older_than_the_listing_are_ignored() -> None:
    replay = MirrorState()
    replay.listed(listing(entry("/a", 5), index=5))
    assert replay.followed([Event(4, "/a", None), Event(5, "/a", None), Progress(3)]) is None
    assert replay.index == 5


def test_a_key_created_and_deleted_in_one_batch_is_not_delivered() -> None:
    replay = MirrorState()
    replay.listed(listing(index=1))
    assert replay.followed([Event(2, "/a", entry("/a", 2)), Event(3, "/a", None)]) is None
    assert replay.index == 3


def test_a_key_written_after_its_directory_was_deleted_is_delivered() -> None:
    replay = MirrorState()
    replay.listed(listing(entry("/d/a", 1), entry("/d/b", 1), index=1))
    new = entry("/d/a", 3)
    changes = replay.followed([Event(2, "/d", None), Event(3, "/d/a", new)])
    assert changes == Changes("c", 3, (new,), ("/d/b",))


def test_a_listing_of_another_cluster_at_a_lower_index_is_taken_over() -> None:
    replay = MirrorState()
    replay.listed(listing(entry("/a", 90), entry("/b", 91), index=91))
    changes = replay.listed(listing(entry("/a", 2), index=2, cluster="d"))
    assert changes == Changes("d", 2, (entry("/a", 2),), ("/b",))
    assert replay.followed([Event(3, "/a", None)]) == Changes("d", 3, removed=("/a",))


def test_progress_marks_move_the_index_and_deliver_nothing() -> None:
    replay = MirrorState()
    replay.listed(listing(index=1))
    assert replay.followed([Progress(7)]) is None
    assert replay.index == 7
    assert replay.followed([]) is None


def test_only_the_keys_that_concern_are_kept_and_delivered() -> None:
    state = MirrorState(lambda key: not key.startswith("/app/log/"))
    kept, other = Entry("/app/a", "1", 1, 1), Entry("/app/log/b", "1", 2, 2)
    first = state.listed(Listing("c", 2, (kept, other)))
    assert first is not None
    assert first.entries == (kept,)
    assert state.followed([Event(3, "/app/log/c", Entry("/app/log/c", "2", 3, 3))]) is None
    assert state.index == 3
    removed = state.followed([Event(4, "/app", None)])
    assert removed is not None
    assert removed.removed == ("/app/a",)
    assert dict(state.entries) == {}
