"""Random commands on few keys, for hypothesis."""

from hypothesis import strategies as st

from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync

NAMES = ("a", "b", "ab", "_h")
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(
    lambda names: "".join(f"/{name}" for name in names).encode()
)
keys = st.one_of(paths, paths, paths, st.just(b"/"))
values = st.sampled_from([None, b"", b"one", b"two", b"\xff<"])
ends = st.sampled_from([0, 0, 0, 5, *(START_NS + n * SECOND for n in range(1, 9))])
indexes = st.sampled_from([0, 0, 0, 1, 2, 3, 5, 8])

puts = st.builds(
    Put,
    keys,
    values,
    st.booleans(),
    ends,
    st.sampled_from([None, None, True, False]),
    st.sampled_from([None, None, None, b"one", b"two"]),
    indexes,
    st.sampled_from([False, False, False, True]),
)
appends = st.builds(CreateInOrder, keys, values, st.booleans(), ends)
deletes = st.builds(
    Delete, keys, st.booleans(), st.booleans(), st.sampled_from([None, None, b"one"]), indexes
)
syncs = st.builds(Sync, st.integers(0, 9).map(lambda n: START_NS + n * SECOND))
notes = st.builds(Note, st.sampled_from(["m1", "version"]), st.binary(max_size=3))
commands: st.SearchStrategy[Command] = st.one_of(
    puts, puts, puts, puts, appends, deletes, deletes, syncs, notes
)
scripts = st.lists(commands, max_size=40)
