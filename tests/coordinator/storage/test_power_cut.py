"""Whenever the power is cut, a member remembers everything that it has promised."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.coordinator.storage.log_model import ME, ModelMember, remembered
from tests.coordinator.storage.memory_files import MemoryFileSystem, PowerCut

Act = Callable[[ModelMember], None]


def appends(sizes: list[int], back: int) -> Act:
    def act(member: ModelMember) -> None:
        member.append(sizes, back=back)

    return act


def installs(ahead: int) -> Act:
    def act(member: ModelMember) -> None:
        member.install(ahead)

    return act


def syncs(member: ModelMember) -> None:
    member.sync()


def snapshots(member: ModelMember) -> None:
    member.snapshot()


def prepares(member: ModelMember) -> None:
    member.disk.prepare()


SCRIPT: list[Act] = [
    appends([10, 0, 200], 0),
    syncs,
    appends([700], 0),
    syncs,
    snapshots,
    appends([90] * 4, 2),
    prepares,
    appends([40] * 9, 0),
    syncs,
    appends([300, 300, 300], 0),
    syncs,
    snapshots,
    appends([2500], 1),
    syncs,
    snapshots,
    installs(20),
    appends([8, 8], 0),
    syncs,
    snapshots,
    appends([600, 600], 0),
    syncs,
    snapshots,
]

acts = st.one_of(
    st.builds(appends, st.lists(st.integers(0, 900), max_size=6), st.sampled_from([0, 0, 0, 1, 3])),
    st.just(syncs),
    st.just(syncs),
    st.just(snapshots),
    st.just(prepares),
    st.builds(installs, st.integers(1, 9)),
)


class CutAt:
    """Ends the program before its n-th change of the disk."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, _: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut


def run(files: MemoryFileSystem, script: list[Act], cut_at: int) -> tuple[ModelMember, bool]:
    """Let a member live through a script; say whether the power was cut."""
    files.step = CutAt(cut_at)
    member = ModelMember(files)
    try:
        member.open()
        for act in script:
            act(member)
    except PowerCut:
        return member, True
    return member, False


def restart(member: ModelMember, files: MemoryFileSystem) -> ModelMember:
    """Open what a cut left, check it, and return the member that goes on with it."""
    again = ModelMember(files)
    found = remembered(again.open())
    possible = member.may_remember()
    assert found in possible
    kept = member.synced + max(n for n, seen in enumerate(possible) if seen == found)
    again.records = member.records[:kept]
    again.synced, again.term = kept, member.term + 1
    known = again.known()
    again.index = max([known.snapshot, *known.entries])
    return again


@pytest.mark.parametrize("seed", range(3))
def test_no_synced_entry_is_lost_by_a_power_cut_at_any_step(seed: int) -> None:
    for step in range(10_000):
        member, cut = run(files := MemoryFileSystem(), SCRIPT, step)
        restart(member, files.after_power_cut(seed + step))
        restart(member, files.after_crash())
        if not cut:
            assert step > 100
            return
    pytest.fail("the script never came to its end")


@settings(deadline=None, max_examples=300)
@given(
    script=st.lists(acts, max_size=25),
    more=st.lists(acts, max_size=12),
    cuts=st.tuples(st.integers(0, 150), st.integers(0, 60)),
    seed=st.integers(0, 1 << 32),
)
def test_two_power_cuts_in_a_row_lose_nothing(
    script: list[Act], more: list[Act], cuts: tuple[int, int], seed: int
) -> None:
    member, _ = run(files := MemoryFileSystem(), script, cuts[0])
    files = files.after_power_cut(seed)
    files.step = CutAt(cuts[1])
    try:
        member = restart(member, files)
        for act in more:
            act(member)
    except PowerCut:
        pass
    files.step = lambda _: None
    restart(member, files.after_power_cut(seed + 1))


def test_a_power_cut_during_the_first_start_leaves_no_log() -> None:
    step = 0
    while True:
        _, cut = run(files := MemoryFileSystem(), [], step)
        after = files.after_power_cut(step)
        recovered = ModelMember(after).open()
        assert recovered.metadata == ME
        assert recovered.entries == []
        step += 1
        if not cut:
            return


def test_entries_that_were_written_but_not_synced_before_a_crash_are_synced_at_the_start() -> None:
    member = ModelMember(files := MemoryFileSystem())
    member.open()
    member.append([10, 20])
    after = files.after_crash()
    found = remembered(ModelMember(after).open())
    assert found == member.known().seen()
    for seed in range(20):
        assert remembered(ModelMember(after.after_power_cut(seed)).open()) == found


def test_an_unsynced_write_is_removed_whichever_sectors_reached_the_disk() -> None:
    for seed in range(200):
        member = ModelMember(files := MemoryFileSystem())
        member.open()
        member.append([random.Random(seed).randint(0, 200)])
        member.sync()
        member.append([150] * 5)
        restart(member, files.after_power_cut(seed))


def test_a_repaired_log_needs_no_repair_again() -> None:
    torn = 0
    for seed in range(40):
        member = ModelMember(files := MemoryFileSystem())
        member.open()
        member.append([300, 300])
        files = files.after_power_cut(seed)
        first = ModelMember(files).open()
        files.locked.clear()
        second = ModelMember(files).open()
        assert second.repairs == ()
        assert second.entries == first.entries
        torn += bool(first.repairs)
    assert torn > 5


@pytest.mark.parametrize("seed", range(3))
def test_a_member_that_starts_after_a_crash_survives_the_next_power_cut(seed: int) -> None:
    for step in range(10_000):
        member, cut = run(files := MemoryFileSystem(), SCRIPT, step)
        member = restart(member, files := files.after_crash())
        member.append([5])
        member.sync()
        restart(member, files.after_power_cut(seed + step))
        if not cut:
            return
