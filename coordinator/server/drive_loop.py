"""The driver's environment in the server: the event loop, the data directory, the transport.

An error of the disk ends the process and is never retried: what the disk holds is unknown then.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.ready import Ready, Role
from coordinator.core.replica.driver import Driver, SnapshotPolicy
from coordinator.core.replica.replica import Replica
from coordinator.storage.data_dir import DataDir
from coordinator.storage.snapshot_writer import SnapshotWriter
from coordinator.transport.transport import Transport
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle

# Followers learn the commit index from the next AppendEntries, or, if none comes, after this time.
ANNOUNCE_S = 0.002

_log = logs.get("coordinator")


def monotonic_ns() -> int:
    """Return the time since boot, which advances while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class DriveLoop:
    """Runs the driver at the end of each turn of the event loop that gave it work."""

    def __init__(
        self, replica: Replica, data_dir: DataDir, policy: SnapshotPolicy, life: Lifecycle
    ) -> None:
        self.replica = replica
        self.driver = Driver(replica, self, policy)
        self.transport: Transport
        self.on_removed: Callable[[], None]
        self.on_broken: Callable[[OSError], None]
        self.on_security: Callable[[], None]  # users or roles have changed
        self.fsyncs = 0
        self.fsync_s = 0.0
        self.leader_since_s = 0.0
        self._data_dir = data_dir
        self._life = life
        self._loop = asyncio.get_running_loop()
        self._snapshot_writer = SnapshotWriter(data_dir, self._snapshot_written)
        self._scheduled = False
        self._preparing = False
        self._security_index = replica.keyspace.security_index

    def wake(self) -> None:
        """Drive at the end of this turn of the event loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.drive)

    def soon(self, work: Callable[[], None]) -> None:
        """Call `work` in the next turn of the event loop."""
        self._loop.call_soon(work)

    def advance_time(self) -> None:
        """Tell the replica what time it is."""
        self.replica.advance_time(monotonic_ns())

    def drive(self) -> None:
        """Send, save, apply and answer what has piled up."""
        self._scheduled = False
        if self._life.failure is None:
            self.driver.drive(monotonic_ns())
            if self.replica.keyspace.security_index != self._security_index:
                self._security_changed()

    def tick(self) -> None:
        """Drive, and check what changes with time."""
        if self._life.failure is None:
            self.driver.tick(monotonic_ns())
            self.replica.clock.follow_utc(time.time_ns())
            if self.replica.keyspace.security_index != self._security_index:
                self._security_changed()

    def close(self) -> None:
        """End the snapshot that is being written; the log still has everything."""
        self._snapshot_writer.close()

    # The driver's environment.

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Send messages to the other members, before anything else happens."""
        self.transport.send(messages)

    def save(self, ready: Ready) -> bool:
        """Write and sync. False after an error of the disk."""
        data_dir = self._data_dir
        try:
            if ready.snapshot is not None:
                snapshot = ready.snapshot
                data_dir.save_snapshot(snapshot.index, snapshot.term, snapshot.data)
                size_bytes = len(snapshot.data)
                _log.info("snapshot-received", index=snapshot.index, bytes=size_bytes)
            if ready.entries or ready.state is not None:
                began = time.perf_counter()
                data_dir.append(ready.entries, ready.state)
                data_dir.sync()
                self.fsyncs += 1
                self.fsync_s += time.perf_counter() - began
                if data_dir.wants_prepare and not self._preparing:
                    self._prepare()
        except OSError as error:
            self.on_broken(error)
            return False
        return True

    def begin_snapshot(self, index: int, term: int) -> bool:
        """Write a snapshot in a child process, unless one is being written."""
        if self._snapshot_writer.is_busy:
            return False
        try:
            self._snapshot_writer.begin(index, term, self.replica.dump)
        except OSError as error:
            # Like one that the child could not write: the log still has everything.
            _log.error("snapshot-failed", index=index, why=error.strerror)
        return True

    def read_snapshot(self) -> None:
        """Read the last snapshot on a thread that may wait for the disk."""

        def done(future: asyncio.Future[tuple[int, int, bytes] | None]) -> None:
            self.driver.snapshot_read(future.result())
            self.wake()

        self._loop.run_in_executor(None, self._data_dir.last_snapshot).add_done_callback(done)

    def announce_soon(self) -> None:
        """Tell the followers of the commit index in a moment."""
        self._loop.call_later(ANNOUNCE_S, self._announce)

    def leader_changed(self, leader: int) -> None:
        """Log the new leader, and show it in systemd's status."""
        self.leader_since_s = time.time()
        node = self.replica.node
        role = "leader" if node.election.role is Role.LEADER else "follower"
        _log.info("leader", leader=f"{leader:x}", term=node.term)
        self._life.status(f"{role} in term {node.term}" if leader else "no leader")

    def removed(self) -> None:
        """End: this member is no longer in the cluster."""
        self.on_removed()

    def _security_changed(self) -> None:
        self._security_index = self.replica.keyspace.security_index
        self.on_security()

    def _announce(self) -> None:
        self.driver.announce_commit()
        self.wake()

    def _snapshot_written(self, index: int, term: int, status: int) -> None:
        if status != 0:
            # The log still has everything; the next interval tries again.
            _log.error("snapshot-failed", index=index, status=status)
            return
        if not self.driver.is_current(index):
            return
        try:
            self._data_dir.mark_snapshot(index, term)
        except OSError as error:
            self.on_broken(error)
            return
        self.driver.compact(index)
        _log.info("snapshot", index=index, term=term)

    def _prepare(self) -> None:
        """Make the next segment of the log on a thread that may wait for the disk."""
        self._preparing = True

        def done(future: asyncio.Future[None]) -> None:
            self._preparing = False
            if isinstance(error := future.exception(), OSError):
                self.on_broken(error)

        self._loop.run_in_executor(None, self._data_dir.prepare).add_done_callback(done)
