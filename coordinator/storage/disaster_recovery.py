"""Disaster recovery after a majority is lost: one survivor becomes a new cluster.

The whole log of the survivor counts, also entries that may not be committed: an acknowledged write
may be among them, and a write that was not acknowledged does no harm. The index jumps and the ids
are new, for the reasons that `coordinator.core.storage.backup_format` gives.
"""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coordinator.core.cluster.ids import Identity, cluster_id, member_id
from coordinator.core.cluster.members import Member
from coordinator.core.raft.entry import HardState
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.storage import backup_format
from coordinator.core.storage.backup_format import Backup
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.storage.backup_files import build, held, take_place
from coordinator.storage.data_dir import DataDir, RecoveredState
from coordinator.storage.file_system import OsFileSystem

_TOKEN_BYTES = 8


class CannotRecover(Exception):  # noqa: N818 - states a fact about the directory or what was asked
    """There is nothing to recover, or something else than the operator has seen."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """What a member's directory holds, with its whole log applied."""

    identity: Identity
    state: HardState
    unproven: int  # number of entries at the log's end that may not be committed
    last: Snapshot
    loaded: Backup

    @property
    def me(self) -> Member | None:
        """This member, None if it was no longer in the cluster."""
        return next((m for m in self.loaded.members if m.id == self.identity.member), None)

    @property
    def given_up(self) -> tuple[Member, ...]:
        """The members that will no longer exist."""
        return tuple(m for m in self.loaded.members if m.id != self.identity.member)

    def facts(self) -> dict[str, object]:
        """Return what an operator needs to decide."""
        shown = self.loaded.facts()
        return {
            "member": f"{self.identity.member:x}",
            "cluster": f"{self.identity.cluster:x}",
            "term": self.state.term,
            "log_index": self.last.index,
            "log_not_known_committed": self.unproven,
            "index": shown["index"],
            "keys": shown["keys"],
            "given_up": {f"{each.id:x}": backup_format.described(each) for each in self.given_up},
        }


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """The new cluster, and where the old data are."""

    identity: Identity
    index: int
    peer_urls: tuple[str, ...]
    kept: Path


def look(directory: Path) -> Survivor:
    """Read what a recovery would keep; change nothing.

    Raises CannotRecover, Damaged, DirectoryInUse, OSError.
    """
    _check(directory)
    with held(directory):
        return _look(directory)


def recover(
    directory: Path, keep_index: int, peer_urls: tuple[str, ...], gap: int
) -> RecoveryResult:
    """Make the member a new one-member cluster, if its index is `keep_index`.

    Without `peer_urls` it keeps those that it had. Raises as `look` does.
    """
    _check(directory)
    with held(directory):
        survivor = _look(directory)
        if survivor.loaded.index != keep_index:
            raise CannotRecover(
                f"--keep-index is {keep_index}, but the index here is {survivor.loaded.index}: "
                "run the command again without --keep-index"
            )
        urls = peer_urls or _own_urls(survivor)
        member = member_id(urls, secrets.token_hex(_TOKEN_BYTES))
        identity = Identity(member, cluster_id([member]))
        data = backup_format.renewed(survivor.last.data, {member: urls}, gap)
        state = Snapshot(survivor.last.index, survivor.last.term, data)
        built = build(directory, WalMetadata(identity.member, identity.cluster), state)
        kept = _keep(directory)
        take_place(built, directory)
    return RecoveryResult(identity, keep_index + gap, urls, kept)


def _check(directory: Path) -> None:
    if DataDir(directory).has_log:
        return
    if kept := sorted(directory.glob("member.*.kept")):
        raise CannotRecover(
            f"{directory}: a recovery was cut short: rename {kept[-1].name} to member first"
        )
    raise CannotRecover(f"{directory}: no log in member/wal: give the --data-dir of a coordinator")


def _look(directory: Path) -> Survivor:
    recovered = DataDir(directory).read()
    known = recovered.entries[-1] if recovered.entries else recovered.snapshot
    if known is None:
        raise CannotRecover(f"{directory}: the log is empty, so there is nothing to keep")
    last = Snapshot(known.index, known.term, _state(recovered, known.index))
    state, metadata = recovered.hard_state, recovered.metadata
    identity = Identity(metadata.member, metadata.cluster)
    unproven = last.index - min(state.commit, last.index)
    return Survivor(identity, state, unproven, last, backup_format.loaded(last))


def _state(recovered: RecoveredState, last: int) -> bytes:
    """Return the state as it would be, had the log been committed up to its last entry."""
    known, state = recovered.snapshot, recovered.hard_state
    start = StartState(
        member=recovered.metadata.member,
        state=HardState(state.term, state.vote, last),
        entries=recovered.entries,
        snapshot=(known.index, known.term, known.data) if known else None,
        published=(),
        randrange=lambda _: 0,
        now_ns=0,
        wall_ns=time.time_ns(),
    )
    replica: Replica = Replica(start)
    assert replica.node.log.applied == last
    return replica.dump()


def _own_urls(survivor: Survivor) -> tuple[str, ...]:
    if survivor.me is None or not survivor.me.peer_urls:
        raise CannotRecover(
            "this member's peer URLs are not in its log: give --initial-advertise-peer-urls"
        )
    return survivor.me.peer_urls


def _keep(directory: Path) -> Path:
    files = OsFileSystem()
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = directory / f"member.{moment}.kept"
    files.rename(directory / "member", kept)
    return kept
