"""Sends a backup to a client, from a child process that has its own copy of the state.

The child encodes the state and writes it to a pipe. This process passes it on as fast as the client
reads it, and holds no more than one piece in memory. If the child fails, the answer ends early, and
the client sees it: the body is chunked and ends with a checksum.
"""

import asyncio
import os
from collections.abc import Callable

from coordinator.core.replica.replica import Replica
from coordinator.core.storage import snapshot_file
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.storage.forked_child import ForkedChild, why
from daemonkit.http.server import Exchange
from daemonkit.observe import logs

PIECE_BYTES = 256 * 1024
# Each one keeps a copy of the memory that changes meanwhile.
STREAMS_MAX = 2

_log = logs.get("coordinator.backup")


class BackupStream:
    """One backup, from the fork to the last byte. Calls `gone` once, at its end.

    Raises OSError if there is no memory or no descriptor left for the child.
    """

    def __init__(
        self, exchange: Exchange, replica: Replica, gone: Callable[["BackupStream"], None]
    ) -> None:
        self._exchange = exchange
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._sent_bytes = 0
        self._reading = False
        self._code: int | None = None
        self._index = replica.node.log.applied
        term = replica.node.log.term(self._index)
        assert term is not None
        index, dump = self._index, replica.dump

        def write(pipe: int) -> None:
            for part in snapshot_file.encode(Snapshot(index, term, dump())):
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(pipe, rest) :]

        self._pipe, far_end = os.pipe()
        try:
            self._child = ForkedChild(write, self._ended, far_end)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(far_end)
        os.set_blocking(self._pipe, False)

    def begin(self, head: bytes) -> None:
        """Send the headers, and then the body as the child writes it."""
        exchange = self._exchange
        exchange.lost = self._lost
        exchange.resumed = self._read
        exchange.start(head, chunked=True)
        self._read()

    def _read(self) -> None:
        if not self._reading and self._pipe >= 0 and self._exchange.writable:
            self._reading = True
            self._loop.add_reader(self._pipe, self._relay)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._pipe)

    def _relay(self) -> None:
        piece = os.read(self._pipe, PIECE_BYTES)
        if not piece:
            self._close()
            self._settle()
            return
        self._sent_bytes += len(piece)
        self._exchange.write(piece)
        if not self._exchange.writable:
            self._pause()

    def _lost(self) -> None:
        self._close()
        self._child.kill()

    def _close(self) -> None:
        self._pause()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _ended(self, code: int) -> None:
        self._code = code
        if code:
            self._close()
        self._settle()

    def _settle(self) -> None:
        """End the answer once the child has ended and all that it wrote was passed on."""
        if self._code is None or self._pipe >= 0:
            return
        self._gone(self)
        if self._exchange.finished:
            return
        if self._code:
            _log.error("backup-cut", index=self._index, why=why(self._code))
            self._exchange.abort()
        else:
            _log.info("backup-sent", index=self._index, bytes=self._sent_bytes)
            self._exchange.finish()
