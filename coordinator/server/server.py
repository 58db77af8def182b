"""A coordinator's process: its listeners, its links, and the one loop that drives its log.

What piles up while the disk syncs is the next batch: requests wait in their sockets, are read
in one turn of the event loop, and go to the log with one write and one fsync. Appends to the
followers leave before that fsync, so the disks of all members work at the same time. Nothing is
answered before a majority has synced. An error of the disk ends the process; it is never retried.
"""

import asyncio
import gc
import random
import socket
import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from coordinator.core.cluster import members
from coordinator.core.cluster.ids import Identity
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft import membership
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.membership import AddFounder
from coordinator.core.raft.raft_node import FOUNDING_TERM
from coordinator.core.raft.ready import Ready, Timing
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.core.v2api.info_pages import MemberStatus
from coordinator.server import metrics
from coordinator.server.http_handler import Answers, Waiter
from coordinator.settings import Settings
from coordinator.storage.backup_schedule import BackupSchedule
from coordinator.storage.data_dir import DataDir, DirectoryInUse, RecoveredState
from coordinator.storage.snapshot_writer import SnapshotWriter
from coordinator.transport import transport
from coordinator.transport.transport import (
    Acceptor,
    AcceptPolicy,
    InboundStream,
    PeerAddress,
    Transport,
)
from daemonkit.core.samples import Sample
from daemonkit.http import tls
from daemonkit.http.server import Limits, Server
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import CannotServe, Lifecycle
from daemonkit.process.listening_socket import listening_socket

if TYPE_CHECKING:
    from coordinator.bootstrap.initial_membership import Beginning

DRAIN_S = 5.0
# What is committed is told to followers with the next Append; where none comes, so soon after.
ANNOUNCE_S = 0.002
# A leader that ends hands its office over first; the others need not wait for a time-out.
HAND_OVER_S = 1.0
LOOK_S = 0.005
# Above the form's own limit, so that its error and not a bare 413 is the answer.
BODY_BYTES_MAX = 16 * 1024 * 1024
# How long a start waits for a leader before it serves what it has, in election timeouts.
START_TIMEOUTS = 3
# Entries behind a snapshot that stay in memory for members that are a little behind.
ENTRIES_KEPT = 5000

_log = logs.get("coordinator")


class Coordinator:
    """The daemon."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._disk = DataDir(settings.data_dir)
        self.replica: Replica[Waiter]
        self._answers: Answers
        self._links: Transport
        self._server: Server
        self._doors: Server | None = None
        self.backups: BackupSchedule | None = None
        self._streams: set[InboundStream] = set()
        self._contexts: list[tuple[ssl.SSLContext, tls.TlsFiles]] = []
        self._status = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=self._healthy, detail=self._trouble()),
            ready=lambda: Probe(ok=self._healthy, detail={"index": self.replica.keyspace.index}),
            state=lambda: metrics.state(self),
            samples=self.samples,
        )
        self._peers: dict[int, tuple[str, ...]] = {}
        self._healthy = False
        self._scheduled = False
        self._preparing = False
        self._announcing = False
        self._reading_snapshot = False
        self.identity = Identity(0, 0)
        self.snapshot_index = 0
        self.fsyncs = 0
        self.fsync_s = 0.0
        self.started_s = time.time()
        self.leader_since_s = 0.0
        self.leader = 0

    async def start(self, life: Lifecycle) -> None:
        """Recover, take part in the cluster, listen."""
        self._life = life
        self._loop = asyncio.get_running_loop()
        recovered = await self._open()
        metadata = recovered.metadata
        self.identity = Identity(metadata.node, metadata.cluster)
        self.replica = self._recover(recovered)
        self._snapshotter = SnapshotWriter(self._disk, self._snapshot_done)
        address = PeerAddress(metadata.cluster, metadata.node)
        settings = self._settings
        context = tls.client_context(settings.peer_tls) if settings.peer_tls else None
        if context is not None and settings.peer_tls is not None:
            self._contexts.append((context, settings.peer_tls))
        self._links = Transport(address, self, context)
        self._answers = Answers(self, metadata.cluster)
        await self._listen_to_peers(address)
        self._tick()
        await self._wait_for_leader()
        await self._listen_to_clients()
        await self._status.start()
        self._healthy = True
        if settings.backups is not None:
            self.backups = BackupSchedule(settings.backups, self.replica)
            life.spawn(self.backups.run(), "backups")
        _log.info(
            "serving",
            name=settings.name,
            member=f"{metadata.node:x}",
            cluster=f"{metadata.cluster:x}",
            index=self.replica.keyspace.index,
            term=self.replica.term,
            leader=f"{self.replica.node.leader:x}",
        )

    async def drain(self) -> None:
        """Hand leadership over, answer what is under way, end the watches, close the log."""
        if self._healthy:
            await self._hand_over()
            self._healthy = False
            self._answers.end_watches()
            await self._server.drain(DRAIN_S)
            await self._status.stop()
        if hasattr(self, "_links"):
            self._snapshotter.close()
            self._links.close()
            transport.close_all(self._streams)
        if self._doors is not None:
            await self._doors.drain(0.1)
        self._disk.close()

    def reload(self) -> None:
        """Load the certificates again."""
        for context, files in self._contexts:
            try:
                tls.load(context, files)
            except (OSError, ssl.SSLError) as error:
                _log.error("certificates-kept", exc=error)

    # What the answers need.

    def wake(self) -> None:
        """Drive the log at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drive)

    def advance_time(self) -> None:
        """Tell the replica what time it is."""
        self.replica.advance_time(time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def status(self) -> MemberStatus:
        """Return how the member stands now."""
        return metrics.status(self, healthy=self._healthy)

    def samples(self) -> Iterable[Sample]:
        """Return the metrics."""
        return metrics.samples(self)

    @property
    def requests(self) -> dict[bytes, int]:
        """How many requests of each method came."""
        return self._answers.requests

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.connections)

    @property
    def links(self) -> Transport:
        """The links to the other members."""
        return self._links

    @property
    def grows(self) -> bool:
        """Whether other members could reach this one."""
        return bool(self._settings.listen_peer)

    @property
    def name(self) -> str:
        """This member's name."""
        return self._settings.name

    # What the links tell.

    def received(self, arrived: list[PeerMessage]) -> None:
        """Take messages of another member."""
        # First: a heartbeat begins a promise, and the time owed from before it does not count.
        self.advance_time()
        receive = self.replica.receive
        for message in arrived:
            receive(message)
        self._links.trips.received(arrived, time.monotonic())
        self.wake()

    def link_lost(self, member: int) -> None:
        """Note that messages were dropped."""
        self.replica.lost(member)
        self.wake()

    def link_refused(self, member: int) -> None:
        """Note that a member's process is gone."""
        self.replica.suspect(member)

    def met(self, member: int) -> None:
        """Dial a member that has come back."""
        self._links.meet(member)

    def removed(self) -> None:
        """End: this member is in the cluster no more."""
        if self._life.failure is None and not self._life.stopping:
            _log.warning(
                "removed", member=f"{self.identity.member:x}", data_dir=self._settings.data_dir
            )
            self._life.stop()

    # The drive loop.

    def _drive(self) -> None:
        """Send, save, apply and answer what has piled up."""
        self._scheduled = False
        if self._life.failure is not None:
            return
        self.advance_time()
        replica, links = self.replica, self._links
        while True:
            ready = replica.ready()
            links.send(replica.take_messages())
            if ready is None:
                break
            links.send(ready.before_save)
            try:
                self._save(ready)
            except OSError as error:
                self._broken(error)
                return
            links.send(ready.after_save)
            replica.saved(ready)
        answer = self._answers.answer
        for waiter, outcome in replica.take_outcomes():
            answer(waiter, outcome)
        if replica.has_unannounced_commit and not self._announcing:
            self._announcing = True
            self._loop.call_later(ANNOUNCE_S, self._announce)
        if replica.node.leader != self.leader:
            self._leader_changed()
        if self._disk.wants_prepare and not self._preparing:
            self._prepare()
        if replica.applied - self.snapshot_index >= self._settings.snapshot_count:
            self._snapshot()

    def _announce(self) -> None:
        self._announcing = False
        self.replica.announce_commit()
        self.wake()

    def _save(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            image = ready.snapshot
            self._disk.save_snapshot(image.index, image.term, image.data)
            self.snapshot_index = image.index
            _log.info("snapshot-received", index=image.index, bytes=len(image.data))
        if ready.entries or ready.state is not None:
            began = time.perf_counter()
            self._disk.append(ready.entries, ready.state)
            self._disk.sync()
            self.fsyncs += 1
            self.fsync_s += time.perf_counter() - began

    def _broken(self, error: OSError) -> None:
        """End: what is on the disk is unknown, so nothing more may be answered."""
        self._healthy = False
        self._life.fail(error)
        self._links.close()
        for connection in tuple(self._server.connections):
            connection.abort()

    def _tick(self) -> None:
        self._loop.call_later(self._settings.heartbeat_ms / 1000, self._tick)
        if self._life.failure is None:
            self._drive()
            self._follow_members()
            if self.replica.wants_snapshot and not self._reading_snapshot:
                self._read_snapshot()

    def _follow_members(self) -> None:
        replica = self.replica
        known = {m.id: m.peer_urls for m in replica.members if m.peer_urls}
        # Until the log has told who the members are, those of the beginning are.
        others = {**(self._peers if self.identity.member not in known else {}), **known}
        others.pop(self.identity.member, None)
        self._links.follow(others)
        # Who was removed learns it when it dials again: nobody sends it the log any more.
        gone = members.removed_members(replica.keyspace.notes)
        transport.close_all([each for each in self._streams if each.sender in gone])
        if self.identity.member in gone:
            self.removed()

    def _leader_changed(self) -> None:
        self.leader, self.leader_since_s = self.replica.node.leader, time.time()
        role = "leader" if self.replica.is_leader else "follower"
        _log.info("leader", leader=f"{self.leader:x}", term=self.replica.term)
        self._life.status(f"{role} in term {self.replica.term}" if self.leader else "no leader")

    def _prepare(self) -> None:
        self._preparing = True

        def done(future: asyncio.Future[None]) -> None:
            self._preparing = False
            if isinstance(error := future.exception(), OSError):
                self._broken(error)

        self._loop.run_in_executor(None, self._disk.prepare).add_done_callback(done)

    # Start and end.

    async def _open(self) -> RecoveredState:
        settings, beginning = self._settings, None
        if not self._disk.has_log:
            beginning = await self._begin()
        fresh = WalMetadata(beginning.member, beginning.cluster) if beginning else WalMetadata(0, 0)
        try:
            recovered = self._disk.open(fresh)
        except (Damaged, DirectoryInUse) as error:
            raise CannotServe(str(error)) from error
        for repair in recovered.repairs:
            _log.warning("repaired", path=repair.path, offset=repair.offset, done=repair.done)
        if not recovered.is_blank:
            return recovered
        # A start that ended between the log's first record and its first entries is begun anew.
        beginning = beginning or await self._begin()
        if beginning.member != recovered.metadata.node:
            raise CannotServe(
                f"{settings.data_dir} is of member {recovered.metadata.node:x}, and these flags "
                f"make {beginning.member:x}: give it back its flags, or another --data-dir"
            )
        self._peers = beginning.peers
        return self._found(recovered, beginning) if beginning.founders else recovered

    async def _begin(self) -> "Beginning":
        # Only a first start asks others for anything; the means for that take a while to load.
        from coordinator.bootstrap import initial_membership

        try:
            return await asyncio.to_thread(initial_membership.begin, self._settings)
        except initial_membership.CannotBegin as error:
            raise CannotServe(str(error)) from error

    def _found(self, recovered: RecoveredState, beginning: "Beginning") -> RecoveredState:
        """Begin the log with the founders, as every one of them does."""
        founders = sorted(beginning.founders.items())
        entries = [
            LogEntry(
                FOUNDING_TERM,
                index,
                membership.encode(AddFounder(member, members.encode_peer_urls(urls))),
            )
            for index, (member, urls) in enumerate(founders, 1)
        ]
        state = HardState(FOUNDING_TERM, 0, len(entries))
        self._disk.append(entries, state)
        self._disk.sync()
        return RecoveredState(recovered.metadata, None, state, entries)

    def _recover(self, recovered: RecoveredState) -> Replica[Waiter]:
        settings, snapshot = self._settings, recovered.snapshot
        me = recovered.metadata.node
        self.snapshot_index = snapshot.index if snapshot else 0
        birth = StartState(
            member=me,
            state=recovered.hard_state,
            entries=recovered.entries,
            snapshot=(snapshot.index, snapshot.term, snapshot.data) if snapshot else None,
            published=(members.attributes_note(me, settings.name, settings.advertise_client),),
            randrange=random.SystemRandom().randrange,
            now_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            wall_ns=time.time_ns(),
            tick_ns=settings.heartbeat_ms * 1_000_000,
            timing=Timing(settings.election_ms // settings.heartbeat_ms),
        )
        replica: Replica[Waiter] = Replica(birth)
        # What was loaded lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        return replica

    async def _listen_to_peers(self, address: PeerAddress) -> None:
        settings = self._settings
        if not settings.listen_peer:
            return
        self._doors = doors = Server(self._answers.peer)
        context = None
        if settings.peer_tls is not None:
            context = tls.server_context(settings.peer_tls)
            self._contexts.append((context, settings.peer_tls))
        welcome = AcceptPolicy(address, self._is_removed, self._streams, self)
        for listen in settings.listen_peer:
            sock = listening_socket(listen, socket.SOCK_STREAM)
            await doors.listen(sock, tls=context, door=lambda each: Acceptor(each, welcome))

    async def _listen_to_clients(self) -> None:
        settings, context = self._settings, None
        self._server = Server(self._answers, limits=Limits(body_bytes_max=BODY_BYTES_MAX))
        if settings.tls is not None:
            context = tls.server_context(settings.tls)
            self._contexts.append((context, settings.tls))
        for address in settings.listen_client:
            sock = listening_socket(address, socket.SOCK_STREAM)
            await self._server.listen(sock, tls=context)

    async def _wait_for_leader(self) -> None:
        """Serve nothing older than what a leader knows, while there is hope for one."""
        settings = self._settings
        deadline = self._loop.time() + START_TIMEOUTS * settings.election_ms / 1000
        self._drive()
        replica = self.replica
        while not (replica.node.leader and replica.is_published) or replica.is_removed:
            if self._life.failure is not None or self._loop.time() > deadline:
                break
            await asyncio.sleep(LOOK_S)

    async def _hand_over(self) -> None:
        replica = self.replica
        if len(replica.node.configuration.voters) == 1:
            return
        replica.ask(0, None)
        self.wake()
        for _ in range(int(HAND_OVER_S / LOOK_S)):
            if not replica.is_leader:
                break
            await asyncio.sleep(LOOK_S)

    def _is_removed(self, member: int) -> bool:
        return members.is_removed(self.replica.keyspace.notes, member)

    def _trouble(self) -> dict[str, object]:
        replica = self.replica
        if replica.diverged:
            return {"diverged": replica.diverged}
        without_s = replica.without_leader_s()
        return {"without_leader_s": round(without_s, 1)} if without_s else {}

    # Snapshots.

    def _snapshot(self) -> None:
        if not self._snapshotter.is_busy:
            replica = self.replica
            index = replica.applied
            self.snapshot_index = index
            term = replica.node.log.term(index)
            assert term is not None
            try:
                self._snapshotter.begin(index, term, replica.dump)
            except OSError as error:
                # As one that the child could not write: the log still has everything.
                _log.error("snapshot-failed", index=index, why=error.strerror)

    def _snapshot_done(self, index: int, term: int, status: int) -> None:
        if status != 0:
            # The log still has everything; the next count of entries tries again.
            _log.error("snapshot-failed", index=index, status=status)
            return
        if index < self.replica.node.log.base:
            return  # the leader sent a newer one meanwhile
        try:
            self._disk.mark_snapshot(index, term)
        except OSError as error:
            self._broken(error)
            return
        self.replica.compact(max(0, index - ENTRIES_KEPT))
        _log.info("snapshot", index=index, term=term)

    def _read_snapshot(self) -> None:
        """Read the last snapshot for a member that needs one."""
        self._reading_snapshot = True

        def done(future: asyncio.Future[tuple[int, int, bytes] | None]) -> None:
            self._reading_snapshot = False
            found = future.result()
            if found is not None:
                self.replica.offer_snapshot(*found)
                self.wake()

        self._loop.run_in_executor(None, self._disk.last_snapshot).add_done_callback(done)
