import time

from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes, View
from rig.dns_packets import DOMAIN, entry, reset_to, snapshot
from skydns.core.dns import name as names
from skydns.core.zone.zone import SERVICES_MAX, VISITS_MAX, Services, Zone, split

SERVICE = '{"host": "10.0.0.1"}'
SEGMENTS = st.sampled_from(["a", "b", "_c", "any", "*", "X"])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda path: "/skydns/" + "/".join(path))
VALUES = st.sampled_from([SERVICE, '{"host": "x.y"}', "broken", "{}"])


def change(index: int, put: dict[str, str], gone: set[str]) -> Changes:
    return Changes("c", index, tuple(entry(*each) for each in put.items()), tuple(gone))


def keys_below(zone: Zone, text: str) -> list[str]:
    return [record.key for record in zone.below(names.parse(text)).found]


@given(st.lists(st.tuples(st.dictionaries(KEYS, VALUES, max_size=3), st.sets(KEYS, max_size=2))))
def test_a_zone_updated_by_changes_equals_a_newly_loaded_one(
    steps: list[tuple[dict[str, str], set[str]]],
) -> None:
    moved, view = Zone("/skydns"), View()
    for index, (put, gone) in enumerate(steps):
        changes = change(index, put, gone)
        view.apply(changes)
        moved.apply(changes)
    fresh = Zone("/skydns")
    fresh.apply(Changes("c", len(steps), tuple(view.entries.values()), reset=True))
    assert dict(moved.invalid_keys) == dict(fresh.invalid_keys)
    assert shape(moved) == shape(fresh)


def shape(zone: Zone) -> object:
    def of(node: object) -> object:
        return (node.leaf, {label: of(child) for label, child in node.children.items()})

    return of(zone._root)


@given(st.sets(KEYS), st.lists(SEGMENTS, min_size=1, max_size=4))
def test_the_services_of_a_name_are_those_of_matching_keys(
    keys: set[str], labels: list[str]
) -> None:
    zone = snapshot((key, SERVICE) for key in keys).zone
    pattern = [label.lower() for label in labels]
    last = max((at for at, label in enumerate(pattern) if label in {"*", "any"}), default=-1)
    cut = next((at for at, label in enumerate(pattern) if label in {"*", "any"}), len(pattern))

    def matches(key: str) -> bool:
        path = key.split("/")[2:]
        if "X" in path or len(path) < len(pattern):
            return False
        hidden = any(segment.startswith("_") for segment in path[cut:])
        pairs = zip(pattern, path, strict=False)
        return not hidden and all(want in {"*", "any", have} for want, have in pairs)

    expected = sorted(key for key in keys if matches(key))
    assert last < len(pattern)
    assert keys_below(zone, ".".join(reversed(pattern))) == expected


def test_apply_returns_the_changed_names() -> None:
    zone = Zone("/skydns")
    touched = zone.apply(
        Changes(
            "c",
            7,
            (entry("/skydns/a/b", SERVICE), entry("/skydns/config", "{}"), entry("/skydns/A", "")),
            ("/skydns/c", "/skydns/D.d"),
        )
    )
    assert touched == [(b"c",), (b"b", b"a")]
    assert (zone.loaded, zone.index) == (True, 7)


def test_a_reset_replaces_the_zone() -> None:
    zone = snapshot([("/skydns/a", SERVICE), ("/skydns/b", "broken")]).zone
    zone.apply(reset_to([("/skydns/c", SERVICE)]))
    assert not zone.exists((b"a",))
    assert zone.exists((b"c",))
    assert not zone.invalid_keys


def test_a_broken_value_keeps_its_name_and_harms_no_other_service() -> None:
    zone = snapshot([("/skydns/d/a", "broken"), ("/skydns/d/b", SERVICE), ("/skydns/e", "[]")]).zone
    assert keys_below(zone, "d") == ["/skydns/d/b"]
    assert zone.exists((b"a", b"d"))
    assert zone.exists((b"e",))
    assert zone.at((b"e",)) is None
    assert zone.at((b"none", b"e")) is None
    assert sorted(zone.invalid_keys) == ["/skydns/d/a", "/skydns/e"]


def test_a_name_is_removed_with_its_last_key() -> None:
    zone = snapshot([("/skydns/a/b/c", SERVICE), ("/skydns/a", SERVICE)]).zone
    zone.apply(change(2, {}, {"/skydns/a/b/c", "/skydns/a/x"}))
    assert not zone.exists((b"b", b"a"))
    assert zone.exists((b"a",))


def test_more_services_than_fit_a_message_are_too_many() -> None:
    zone = snapshot((f"/skydns/d/{at}", SERVICE) for at in range(SERVICES_MAX)).zone
    assert not zone.below((b"d",)).too_many
    zone.apply(change(2, {"/skydns/d/more": SERVICE}, set()))
    assert zone.below((b"d",)).too_many


def test_a_wildcard_that_leads_through_very_many_names_is_too_many() -> None:
    zone = snapshot((f"/skydns/d/{at}", SERVICE) for at in range(VISITS_MAX)).zone
    assert zone.below(names.parse("nothing.*.d")) == Services(too_many=True)
    assert keys_below(zone, "77.d") == ["/skydns/d/77"]


def test_a_name_is_split_at_its_topmost_wildcard() -> None:
    assert split(names.parse("a.any.b.*.c")) == ((b"c",), (b"*", b"b", b"any", b"a"))
    assert split(DOMAIN) == (DOMAIN, ())


def test_one_change_among_many_keys_is_cheap() -> None:
    entries = tuple(
        Entry(f"/skydns/local/n{at % 100}/s{at}", SERVICE, 1, 1) for at in range(20_000)
    )
    zone = Zone("/skydns")
    began = time.perf_counter()
    zone.apply(Changes("c", 1, entries, reset=True))
    whole_s = time.perf_counter() - began
    one_s = min(timed(zone, entries[at]) for at in range(50))
    assert one_s < whole_s / 500


def timed(zone: Zone, one: Entry) -> float:
    began = time.perf_counter()
    zone.apply(Changes("c", 2, (one,)))
    return time.perf_counter() - began
