"""Snapshots while the member serves: written by a child process that has its own copy."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable

from coordinator.disk import Disk

_PR_SET_PDEATHSIG = 1


class Snapshotter:
    """Writes one snapshot at a time. `done(index, term, status)` is told of its end."""

    def __init__(self, disk: Disk, done: Callable[[int, int, int], None]) -> None:
        self._disk = disk
        self._done = done
        self._child = 0

    @property
    def is_busy(self) -> bool:
        """Whether a snapshot is being written."""
        return bool(self._child)

    def begin(self, index: int, term: int, dump: Callable[[], bytes]) -> None:
        """Write the state as of entry `index` in a child process."""
        child = os.fork()
        if child == 0:
            self._write(index, term, dump)
        self._child = child
        pidfd = os.pidfd_open(child)
        asyncio.get_running_loop().add_reader(pidfd, self._ended, pidfd, index, term)

    def close(self) -> None:
        """End the child; the log still has everything."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)

    def _write(self, index: int, term: int, dump: Callable[[], bytes]) -> None:
        """Be the child: nothing of the parent's but its memory, and never its loop."""
        code = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            self._disk.write_snapshot(index, term, dump())
            code = 0
        finally:
            os._exit(code)

    def _ended(self, pidfd: int, index: int, term: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        self._done(index, term, status)
