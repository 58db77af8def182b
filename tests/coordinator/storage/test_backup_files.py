"""Backups as files, and what they are restored to."""

from pathlib import Path

import pytest

from coordinator.core.cluster import members
from coordinator.core.raft.membership import Configuration
from coordinator.core.replica import state_snapshot
from coordinator.core.replica.sessions import Sessions
from coordinator.core.storage import backup_format, snapshot_file
from coordinator.core.storage.backup_format import BackupName, BadBackup, CannotRenew
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.core.store.api_errors import HISTORY_CLEARED, ApiError
from coordinator.core.store.commands import Delete, Note, Put
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.watcher_hub import WatchFilter
from coordinator.storage import backup_files
from coordinator.storage.backup_files import NotEmpty
from coordinator.storage.data_dir import DamagedLog, DataDir
from coordinator.storage.file_system import DirectoryInUse

OLD, REMOVED, NEW = 11, 12, 21
URLS = ("http://127.0.0.1:2380",)
CLOCK_NS = 1_900_000_000 * 10**9
TTL_NS = 30 * 10**9


def state() -> Snapshot:
    """Return the state of a small cluster that has lived."""
    space = KeySpace()
    space.apply(members.peer_urls_note(OLD, URLS))
    space.apply(Note(members.peer_urls_kind(REMOVED), b""))
    space.apply(Note("version", b"2.3.0"))
    for number in range(5):
        space.apply(Put(b"/k%d" % number, b"v%d" % number))
    space.apply(Delete(b"/k0"))
    space.apply(Put(b"/ends", b"soon", expires_ns=CLOCK_NS + TTL_NS))
    applied = Sessions()
    applied.is_new(7, 1)
    data = state_snapshot.dump(Configuration(frozenset({OLD})), applied, CLOCK_NS, space)
    return Snapshot(40, 3, data)


def raw() -> bytes:
    return b"".join(snapshot_file.encode(state()))


def renewed(gap: int = 1000) -> backup_format.Backup:
    data = backup_format.renewed(state().data, {NEW: URLS}, gap)
    return backup_format.loaded(Snapshot(40, 3, data))


def test_a_backup_describes_its_content() -> None:
    found = backup_format.read("x", raw())
    facts = found.facts()
    assert (facts["index"], facts["keys"], facts["log_index"], facts["term"]) == (10, 5, 40, 3)
    assert facts["members"] == {"b": f"unstarted {URLS[0]}"}
    assert facts["bytes"] == len(raw())


def test_any_flipped_bit_is_found_and_the_file_named() -> None:
    good = raw()
    for place in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            with pytest.raises(BadBackup, match=r"the\.backup: byte \d+: "):
                backup_format.read("the.backup", bytes(bad))


def test_a_truncated_backup_is_found() -> None:
    good = raw()
    for length in range(len(good)):
        with pytest.raises(BadBackup):
            backup_format.read("x", good[:length])
    with pytest.raises(BadBackup):
        backup_format.read("x", good + b"\0")


def test_an_intact_file_with_other_content_is_not_a_backup() -> None:
    other = b"".join(snapshot_file.encode(Snapshot(1, 1, b"hello")))
    with pytest.raises(BadBackup, match="state snapshot is damaged"):
        backup_format.read("x", other)


def test_keys_keep_their_values_and_indexes() -> None:
    before, after = backup_format.loaded(state()).keyspace, renewed().keyspace
    assert after.tree.rows() == before.tree.rows()


def test_a_restored_store_skips_the_indexes_that_clients_may_have_seen() -> None:
    before, after = backup_format.loaded(state()), renewed(gap=1000)
    assert after.index == before.index + 1000
    event = after.keyspace.apply(Put(b"/next", b"x"))
    assert event is not None
    assert event.index == before.index + 1001


def test_a_watch_from_an_old_index_gets_error_401() -> None:
    space = renewed(gap=1000).keyspace
    for old in (1, 10, 11, 1009):
        with pytest.raises(ApiError) as refused:
            space.hub.watch(WatchFilter(b"/", recursive=True), old - 1, lambda: None)
        assert refused.value.code == HISTORY_CLEARED
    space.hub.watch(WatchFilter(b"/", recursive=True), space.index, lambda: None)


def test_a_key_keeps_the_time_it_had_left() -> None:
    after = renewed()
    assert after.keyspace.next_expiry_ns == CLOCK_NS + TTL_NS
    assert after.state.clock_ns == CLOCK_NS


def test_only_the_new_members_are_in_the_cluster() -> None:
    after = renewed()
    assert [(each.id, each.peer_urls) for each in after.members] == [(NEW, URLS)]
    assert after.state.configuration == Configuration(frozenset({NEW}))
    assert members.removed_members(after.keyspace.notes) == frozenset()
    assert after.keyspace.notes["version"] == b"2.3.0"


@pytest.mark.parametrize("known", [OLD, REMOVED])
def test_a_member_of_the_old_cluster_is_refused(known: int) -> None:
    with pytest.raises(CannotRenew, match="initial-cluster-token"):
        backup_format.renewed(state().data, {known: URLS}, 10)


def test_equal_arguments_make_equal_members() -> None:
    founders = {NEW: URLS, 22: ("http://127.0.0.1:1",)}
    other = dict(reversed(founders.items()))
    assert backup_format.renewed(state().data, founders, 5) == backup_format.renewed(
        state().data, other, 5
    )


def test_members_that_were_restored_differently_do_not_agree() -> None:
    digests = {renewed(gap).keyspace.digest for gap in (10, 11)}
    assert len(digests) == 2


def test_a_backup_name_has_the_time_and_the_index() -> None:
    name = BackupName(1_800_000_000, 42)
    assert str(name) == "20270115T080000Z-0000000000000042.backup"
    assert BackupName.parse(str(name)) == name
    for other in ("x.backup", "20270115T080000Z-42.backup", "20270115T080000Z.tmp", f"{name}.tmp"):
        assert BackupName.parse(other) is None


def test_only_the_oldest_backups_are_deleted() -> None:
    names = [str(BackupName(1_800_000_000 + n, n)) for n in range(5)]
    gone = backup_format.expired_backups([*reversed(names), "notes.txt", "half.backup.tmp"], 3)
    assert [str(name) for name in gone] == names[:2]
    assert backup_format.expired_backups(names[:2], 3) == []


def test_a_backup_that_fails_keeps_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "x.backup"
    backup_files.write(path, [raw()])

    def cut() -> object:
        yield raw()[:50]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        backup_files.write(path, cut())
    with pytest.raises(BadBackup):
        backup_files.write(path, [raw()[:50]])
    assert path.read_bytes() == raw()
    assert list(tmp_path.iterdir()) == [path]


def restore(directory: Path) -> backup_format.Backup:
    source = backup_format.loaded(state())
    return backup_files.restore(source, directory, WalMetadata(NEW, 99), {NEW: URLS}, 1000)


def test_a_restored_directory_has_the_content_of_the_backup(tmp_path: Path) -> None:
    made = restore(tmp_path / "d")
    disk = DataDir(tmp_path / "d")
    recovered = disk.open(WalMetadata(0, 0))
    disk.close()
    assert recovered.metadata == WalMetadata(NEW, 99)
    assert recovered.snapshot == made.snapshot
    assert (recovered.entries, recovered.repairs) == ([], ())
    assert recovered.hard_state.term == 3


def test_a_directory_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / "lost+found").mkdir()
    restore(directory)
    with pytest.raises(NotEmpty, match="it has member"):
        restore(directory)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    disk = DataDir(tmp_path / "d")
    disk.open(WalMetadata(1, 1))
    with pytest.raises(DirectoryInUse):
        restore(tmp_path / "d")
    disk.close()


def test_a_member_does_not_start_from_a_restore_that_was_cut_short(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    backup_files.build(directory, WalMetadata(NEW, 99), state())
    with pytest.raises(DamagedLog, match="cut short"):
        DataDir(directory).open(WalMetadata(1, 1))
    restore(directory)
    assert DataDir(directory).read().metadata == WalMetadata(NEW, 99)
