"""A coordinator's process: its listeners, and the one loop that drives its log.

What piles up while the disk syncs is the next batch: requests wait in their sockets, are read
in one turn of the event loop, and go to the log with one write and one fsync. Nothing is
answered before that fsync. An error of the disk ends the process; it is never retried.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterable

import msgspec

from coordinator.answers import Answers, Waiter
from coordinator.api.pages import Member, Standing
from coordinator.damage import Damaged
from coordinator.disk import DirectoryInUse, Disk, Recovered
from coordinator.replica import Replica
from coordinator.settings import Settings
from coordinator.store.commands import Command, Note, Sync
from coordinator.store.keyspace import KeySpace
from coordinator.wal import Metadata
from daemonkit import logs, tls
from daemonkit.addresses import listening_socket
from daemonkit.http.server import Limits, Server
from daemonkit.lifecycle import CannotServe, Lifecycle
from daemonkit.metrics import Sample
from daemonkit.status import Probe, StatusPage

# Keys with a TTL end at most so much late (etcd's interval).
SYNC_S = 0.5
DRAIN_S = 5.0
# Above the form's own limit, so that its error and not a bare 413 is the answer.
BODY_BYTES_MAX = 16 * 1024 * 1024
_PR_SET_PDEATHSIG = 1

_log = logs.get("coordinator")


class Coordinator:
    """The daemon."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._disk = Disk(settings.data_dir)
        self.replica: Replica[Waiter]
        self._answers: Answers
        self._server: Server
        self._context: ssl.SSLContext | None = None
        self._status = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=self._healthy),
            ready=lambda: Probe(ok=self._healthy, detail={"index": self.replica.keyspace.index}),
            state=self._state,
            samples=self.samples,
        )
        self._healthy = False
        self._scheduled = False
        self._preparing = False
        self._snapshot_index = 0
        self._snapshot_child = 0
        self._fsyncs = 0
        self._fsync_s = 0.0
        self._started_s = time.time()
        self._leading_since_s = 0.0

    async def start(self, life: Lifecycle) -> None:
        """Recover, take office, listen."""
        self._life = life
        self._loop = asyncio.get_running_loop()
        settings = self._settings
        fresh = Metadata(settings.identity.member, settings.identity.cluster)
        try:
            recovered = self._disk.open(fresh)
        except (Damaged, DirectoryInUse) as error:
            raise CannotServe(str(error)) from error
        self._recover(recovered)
        self._take_office(recovered.metadata)
        self._answers = Answers(self, recovered.metadata.cluster)
        self._server = Server(self._answers, limits=Limits(body_bytes_max=BODY_BYTES_MAX))
        if settings.tls is not None:
            self._context = tls.server_context(settings.tls)
        for address in settings.listen_client:
            sock = listening_socket(address, socket.SOCK_STREAM)
            await self._server.listen(sock, tls=self._context)
        await self._status.start()
        life.spawn(self._expire(), "expiry")
        self._healthy = True
        _log.info(
            "serving",
            name=settings.name,
            member=f"{recovered.metadata.node:x}",
            cluster=f"{recovered.metadata.cluster:x}",
            index=self.replica.keyspace.index,
            term=self.replica.term,
        )
        life.status(f"leader, index {self.replica.keyspace.index}")

    async def drain(self) -> None:
        """Answer what is under way, end the watches, close the log."""
        if self._healthy:
            self._healthy = False
            self._answers.end_watches()
            await self._server.drain(DRAIN_S)
            await self._status.stop()
        if self._snapshot_child:
            os.kill(self._snapshot_child, signal.SIGKILL)
        self._disk.close()

    def reload(self) -> None:
        """Load the certificates again."""
        if self._context is not None and self._settings.tls is not None:
            try:
                tls.load(self._context, self._settings.tls)
            except (OSError, ssl.SSLError) as error:
                _log.error("certificates-kept", exc=error)

    # What the answers need.

    def propose(self, command: Command, waiter: Waiter | None = None) -> None:
        """Put a command in the log; it is on its way to the disk at the end of this turn."""
        self.replica.propose(command, waiter)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drive)

    def standing(self) -> Standing:
        """Return how the member stands now."""
        settings, identity = self._settings, self._settings.identity
        me = Member(identity.member, settings.name, settings.peer_urls, settings.advertise_client)
        return Standing(
            identity=identity,
            members=(me,),
            leader=identity.member,
            state="StateLeader",
            started_s=self._started_s,
            leading_since_s=self._leading_since_s,
            now_s=time.time(),
            healthy=self._healthy,
            store_stats=self.replica.keyspace.stats.json(len(self.replica.keyspace.hub)),
        )

    def samples(self) -> Iterable[Sample]:
        """Return the metrics, under etcd's names where they mean the same."""
        replica, space = self.replica, self.replica.keyspace
        gauges = {
            "etcd_server_has_leader": ("Whether a leader is known.", 1),
            "etcd_server_is_leader": ("Whether this member leads.", 1),
            "etcd_debugging_store_watchers": ("Open watches.", len(space.hub)),
            "coordinator_store_index": ("Index of the last change.", space.index),
            "coordinator_store_keys": ("Files and directories.", len(space.tree.nodes) - 1),
            "coordinator_history_oldest_index": ("Oldest watchable index.", space.history.first),
            "coordinator_connections": ("Open connections.", len(self._server.connections)),
        }
        counters = {
            "etcd_server_proposals_committed_total": ("Committed entries.", replica.applied),
            "etcd_server_proposals_applied_total": ("Applied entries.", replica.applied),
            "coordinator_fsyncs_total": ("Batches synced to the log.", self._fsyncs),
            "coordinator_fsync_seconds_total": ("Time in those syncs.", self._fsync_s),
        }
        for name, (about, value) in gauges.items():
            yield Sample(name, "gauge", about, value)
        for name, (about, count) in counters.items():
            yield Sample(name, "counter", about, count)
        for method, requests in self._answers.requests.items():
            labels = {"method": method.decode()}
            about = "Requests on the client port."
            yield Sample("etcd_http_received_total", "counter", about, requests, labels)

    # The drive loop.

    def _drive(self) -> None:
        """Make what has piled up safe, apply it, answer it."""
        self._scheduled = False
        if not self.replica.has_unsaved or self._life.failure is not None:
            return
        entries = self.replica.unsaved()
        began = time.perf_counter()
        try:
            self._disk.append(entries)
            self._disk.sync()
        except OSError as error:
            self._broken(error)
            return
        self._fsyncs += 1
        self._fsync_s += time.perf_counter() - began
        answer = self._answers.answer
        for waiter, outcome in self.replica.saved():
            answer(waiter, outcome)
        if self._disk.wants_prepare and not self._preparing:
            self._prepare()
        if self.replica.applied - self._snapshot_index >= self._settings.snapshot_count:
            self._snapshot()

    def _broken(self, error: OSError) -> None:
        """End: what is on the disk is unknown, so nothing more may be answered."""
        self._healthy = False
        self._life.fail(error)
        for connection in tuple(self._server.connections):
            connection.abort()

    def _prepare(self) -> None:
        self._preparing = True

        def done(future: asyncio.Future[None]) -> None:
            self._preparing = False
            if isinstance(error := future.exception(), OSError):
                self._broken(error)

        self._loop.run_in_executor(None, self._disk.prepare).add_done_callback(done)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(SYNC_S)
            due_ns, now_ns = self.replica.keyspace.next_expiry_ns, time.time_ns()
            if due_ns is not None and due_ns <= now_ns:
                self.propose(Sync(now_ns))

    # Start.

    def _recover(self, recovered: Recovered) -> None:
        for repair in recovered.repairs:
            _log.warning("repaired", path=repair.path, offset=repair.offset, done=repair.done)
        snapshot = recovered.snapshot
        space = KeySpace() if snapshot is None else KeySpace.load(snapshot.data)
        self._snapshot_index = snapshot.index if snapshot else 0
        self.replica = Replica(space, recovered.hard_state, self._snapshot_index)
        self.replica.recover(recovered.entries)
        # What was loaded lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    def _take_office(self, metadata: Metadata) -> None:
        """Begin a term, and tell the cluster's facts when they are not as they were."""
        state = self.replica.campaign(metadata.node)
        for note in self._facts():
            if self.replica.keyspace.notes.get(note.kind) != note.data:
                self.replica.propose(note)
        self._disk.append(self.replica.unsaved(), state)
        self._disk.sync()
        for _ in self.replica.saved():
            raise AssertionError("nobody waits yet")
        self._leading_since_s = time.time()

    def _facts(self) -> list[Note]:
        settings = self._settings
        member = f"{settings.identity.member:x}"
        attributes = {"name": settings.name, "clientURLs": settings.advertise_client}
        return [
            Note(f"members/{member}/raft", msgspec.json.encode({"peerURLs": settings.peer_urls})),
            Note(f"members/{member}/attributes", msgspec.json.encode(attributes)),
            Note("version", b"2.3.0"),
        ]

    # Snapshots.

    def _snapshot(self) -> None:
        """Write the state in a child process that has its own copy of it, while we go on."""
        if self._snapshot_child:
            return
        self._snapshot_index, term = self.replica.applied, self.replica.term
        child = os.fork()
        if child == 0:
            self._write_snapshot(self._snapshot_index, term)
        self._snapshot_child = child
        pidfd = os.pidfd_open(child)
        self._loop.add_reader(pidfd, self._snapshot_done, pidfd, self._snapshot_index, term)

    def _write_snapshot(self, index: int, term: int) -> None:
        """Be the child: nothing of the parent's but its memory, and never its loop."""
        code = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            self._disk.write_snapshot(index, term, self.replica.keyspace.dump())
            code = 0
        finally:
            os._exit(code)

    def _snapshot_done(self, pidfd: int, index: int, term: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(self._snapshot_child, 0)
        self._snapshot_child = 0
        if status != 0:
            # The log still has everything; the next count of entries tries again.
            _log.error("snapshot-failed", index=index, status=status)
            return
        try:
            self._disk.mark_snapshot(index, term)
        except OSError as error:
            self._broken(error)
            return
        _log.info("snapshot", index=index, term=term)

    def _state(self) -> object:
        replica, space = self.replica, self.replica.keyspace
        return {
            "term": replica.term,
            "last": replica.last,
            "applied": replica.applied,
            "index": space.index,
            "keys": len(space.tree.nodes) - 1,
            "watchers": len(space.hub),
            "history": {"oldest": space.history.first, "newest": space.history.last},
            "snapshot": self._snapshot_index,
            "digest": f"{space.digest():016x}",
            "connections": len(self._server.connections),
            "fsyncs": self._fsyncs,
            "fsync_s": round(self._fsync_s, 6),
        }
