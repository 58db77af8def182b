"""Key sets, readers and key names for the pure tests."""

from hypothesis import strategies as st

from confd.core.keyspace.key_set import KeySet
from confd.core.keyspace.reader import Reader
from confd.core.keyspace.scope import Scope
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes

SEGMENTS = st.sampled_from(["a", "b", "a-b", "a0", "_h", "z"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def changes(
    values: dict[str, str], removed: tuple[str, ...] = (), *, reset: bool = False
) -> Changes:
    entries = tuple(Entry(key, value, 1, 1) for key, value in values.items())
    return Changes("c", 1, entries, removed, reset)


def key_set(values: dict[str, str]) -> KeySet:
    keys = KeySet()
    keys.apply("", changes(values, reset=True))
    return keys


def reader(values: dict[str, str], prefix: str = "", subtrees: tuple[str, ...] = ("",)) -> Reader:
    return Reader(key_set(values), Scope(prefix, subtrees))
