"""From a data directory to a member: recovered from its log, or founded, or joining a cluster."""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from coordinator.core.cluster import identity_check
from coordinator.core.cluster.identity_check import OptionsIdentity
from coordinator.core.cluster.initial_membership import ALONE_URL
from coordinator.core.cluster.members import attributes_note, encode_peer_urls, members_in
from coordinator.core.raft import membership
from coordinator.core.raft.election import FOUNDING_TERM
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.membership import AddFounder
from coordinator.core.raft.ready import Timing
from coordinator.core.replica import log_version
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.core.store.keyspace_dump import UnreadableDump
from coordinator.core.store.space_quota import SpaceQuota
from coordinator.server.drive_loop import monotonic_ns
from coordinator.settings import Settings
from coordinator.storage.data_dir import DataDir, RecoveredState
from coordinator.storage.file_system import DirectoryInUse
from daemonkit.observe import logs
from daemonkit.process.lifecycle import CannotServe

if TYPE_CHECKING:
    from coordinator.core.cluster.initial_membership import InitialMembership

Urls = dict[int, tuple[str, ...]]

_log = logs.get("coordinator")


@dataclass(frozen=True, slots=True)
class Opened:
    """The content of the data directory, and the members that are known before the log is read."""

    recovered: RecoveredState
    peers: dict[int, tuple[str, ...]]


async def open_data_dir(data_dir: DataDir, settings: Settings) -> Opened:
    """Recover what is there, or begin a member by the settings. Raises CannotServe."""
    initial = None if data_dir.has_log else await _initial_membership(settings)
    fresh = WalMetadata(initial.member, initial.cluster) if initial else WalMetadata(0, 0)
    try:
        recovered = data_dir.open(fresh, lambda found: _check_version(found, settings))
    except (Damaged, DirectoryInUse) as error:
        raise CannotServe(str(error)) from error
    for repair in recovered.repairs:
        _log.warning("repaired", path=repair.path, offset=repair.offset, done=repair.done)
    if not recovered.is_blank:
        return Opened(recovered, {})
    # A start that ended between the log's first record and its first entries is repeated.
    initial = initial or await _initial_membership(settings)
    if initial.member != recovered.metadata.member:
        raise CannotServe(
            f"{settings.data_dir} belongs to member {recovered.metadata.member:x}, and these flags "
            f"make it member {initial.member:x}: use the flags that it was started with, or "
            "another --data-dir"
        )
    if initial.founders:
        recovered = _found(data_dir, recovered, initial)
    return Opened(recovered, initial.peers)


def asking(settings: Settings, cluster: int) -> Callable[[Sequence[str]], Urls]:
    """Return the function that asks one of the members at some URLs for all members."""

    def ask(urls: Sequence[str]) -> Urls:
        from coordinator.bootstrap import existing_cluster

        return existing_cluster.members_at(settings, urls, cluster)

    return ask


def check_identity(replica: Replica, settings: Settings) -> None:
    """Refuse the directory of another member. Raises CannotServe."""
    others = {url for urls in settings.initial_cluster.values() for url in urls}
    options = OptionsIdentity(
        settings.name,
        settings.peer_urls if settings.peer_urls != (ALONE_URL,) else (),
        frozenset(others.difference(settings.peer_urls)),
    )
    members = members_in(replica.keyspace.notes, replica.node.configuration)
    if why := identity_check.problem(options, replica.me, members):
        raise CannotServe(f"{settings.data_dir} {why}")


def check_cluster(replica: Replica, found: Mapping[str, str], settings: Settings) -> None:
    """Refuse to serve beside members that are in other clusters; `found` has theirs by URLs.

    Raises CannotServe.
    """
    if not found:
        return
    at = ", ".join(f"{urls} (cluster {cluster})" for urls, cluster in found.items())
    if replica.node.term == FOUNDING_TERM:  # it has never had a leader
        raise CannotServe(
            f"the members at {at} are a cluster already, and this member began another one: to "
            f"join them remove {settings.data_dir}, run `coordctl member add {settings.name} "
            f"{settings.peer_urls[0]}` and start with --initial-cluster-state existing"
        )
    raise CannotServe(
        f"{settings.data_dir} belongs to another cluster than the members at {at}: use another "
        "--data-dir, or to join them an empty one after `coordctl member add`"
    )


def start_replica(recovered: RecoveredState, settings: Settings) -> Replica:
    """Make the replica that continues from the recovered state."""
    snapshot, me = recovered.snapshot, recovered.metadata.member
    start = StartState(
        member=me,
        state=recovered.hard_state,
        entries=recovered.entries,
        snapshot=(snapshot.index, snapshot.term, snapshot.data) if snapshot else None,
        published=(attributes_note(me, settings.name, settings.advertise_client),),
        randrange=random.SystemRandom().randrange,
        now_ns=monotonic_ns(),
        wall_ns=time.time_ns(),
        quota=SpaceQuota(settings.quota_backend_bytes),
        timing=Timing(settings.election_ms // settings.heartbeat_ms, tick_ms=settings.heartbeat_ms),
    )
    try:
        replica = Replica(start)
    except (msgspec.DecodeError, UnreadableDump) as error:
        raise CannotServe(
            f"{settings.data_dir}: {error}: a newer release may have written it, or it is damaged"
        ) from error
    # What was loaded lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    return replica


def _check_version(found: RecoveredState, settings: Settings) -> None:
    """Refuse files that this release cannot read. Raises CannotServe."""
    snapshot = found.snapshot.data if found.snapshot else None
    if why := log_version.problem(snapshot, found.entries):
        raise CannotServe(f"{settings.data_dir}: {why}")


async def _initial_membership(settings: Settings) -> "InitialMembership":
    # Only a first start asks others for anything, and the modules for that take a while to load.
    from coordinator.bootstrap import membership_source
    from coordinator.core.cluster.initial_membership import BootstrapError

    try:
        return await asyncio.to_thread(membership_source.find, settings)
    except BootstrapError as error:
        raise CannotServe(str(error)) from error


def _found(
    data_dir: DataDir, recovered: RecoveredState, initial: "InitialMembership"
) -> RecoveredState:
    """Begin the log with the founders, as every one of them does."""
    founders = sorted(initial.founders.items())
    entries = [
        LogEntry(
            FOUNDING_TERM, index, membership.encode(AddFounder(member, encode_peer_urls(urls)))
        )
        for index, (member, urls) in enumerate(founders, 1)
    ]
    state = HardState(FOUNDING_TERM, 0, len(entries))
    data_dir.append(entries, state)
    data_dir.sync()
    return RecoveredState(recovered.metadata, None, state, entries)
