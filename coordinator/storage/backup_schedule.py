"""Scheduled backups: one after each interval, of which the last ones are kept.

A child process writes the file, reads it back and verifies it before it gets its name. Then it
removes the oldest backups. So every file with a name was good when it was written, and if the disk
is full or fails, the old backups stay.
"""

import asyncio
import errno
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from coordinator.core.replica.replica import Replica
from coordinator.core.storage import backup_format, snapshot_file
from coordinator.core.storage.backup_format import BackupName, BadBackup
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.settings import BackupSettings
from coordinator.storage import backup_files
from coordinator.storage.forked_child import ForkedChild, why
from daemonkit.core.samples import Sample
from daemonkit.observe import logs

# A failed backup is tried again after this time, or after the interval if that is shorter.
RETRY_S = 60.0
# No backup takes longer: an unfinished file that is older has no writer any more.
LEFTOVER_S = 3600.0

_log = logs.get("coordinator.backup")


class BackupSchedule:
    """Writes the backups of one member while `run` runs."""

    def __init__(self, settings: BackupSettings, replica: Replica) -> None:
        self._settings = settings
        self._replica = replica
        self._last_s = -math.inf
        self._written = 0
        self._failures = 0

    async def run(self) -> None:
        """Write a backup whenever the last one is an interval old."""
        settings = self._settings
        self._last_s = await asyncio.to_thread(_newest_s, settings.directory)
        due_s = self._last_s + settings.interval_s
        while True:
            await asyncio.sleep(max(0.0, min(due_s - time.time(), settings.interval_s)))
            if why_not := await self._write():
                self._failures += 1
                _log.error("backup-failed", directory=settings.directory, why=why_not)
                due_s = time.time() + min(RETRY_S, settings.interval_s)
            else:
                due_s = self._last_s + settings.interval_s

    def samples(self) -> Iterable[Sample]:
        """Return the metrics; the age is infinite while there is no backup."""
        about = "Time since the last backup that was written and verified."
        age_s = max(0.0, time.time() - self._last_s)
        yield Sample("coordinator_backup_age_seconds", "gauge", about, age_s)
        about = "Backups that were written and verified."
        yield Sample("coordinator_backups_total", "counter", about, self._written)
        about = "Backups that could not be written."
        yield Sample("coordinator_backup_failures_total", "counter", about, self._failures)

    async def _write(self) -> str:
        """Write a backup; return why it failed, an empty string if it did not."""
        replica = self._replica
        if replica.availability.diverged:
            return replica.availability.diverged
        if not replica.node.leader:
            return "no leader is known, and the state here may be old"
        name = BackupName(int(time.time()), replica.keyspace.index)
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def child_ended(code: int) -> None:
            if not ended.done():
                ended.set_result(code)

        try:
            child = ForkedChild(self._work(name), child_ended)
        except OSError as error:
            return f"cannot begin: {error.strerror}"
        try:
            code = await ended
        except asyncio.CancelledError:
            child.kill()
            raise
        if code == errno.EBADMSG:
            return "the backup differs from what was written"
        if code:
            return why(code)
        self._last_s = time.time()
        self._written += 1
        _log.info("backup", path=self._settings.directory / str(name))
        return ""

    def _work(self, name: BackupName) -> Callable[[int], None]:
        replica, settings = self._replica, self._settings
        index = replica.node.log.applied
        term = replica.node.log.term(index)
        assert term is not None

        def work(_: int) -> None:
            pieces = snapshot_file.encode(Snapshot(index, term, replica.dump()))
            _keep(settings, name, pieces)

        return work


def _keep(settings: BackupSettings, name: BackupName, pieces: Iterable[bytes]) -> None:
    directory = settings.directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        backup_files.write(directory / str(name), pieces)
    except BadBackup as bad:
        raise OSError(errno.EBADMSG, str(bad)) from bad
    names = _names(directory)
    gone = [str(each) for each in backup_format.expired_backups(names, settings.keep)]
    for old in gone + backup_format.leftovers(names, time.time() - LEFTOVER_S):
        (directory / old).unlink(missing_ok=True)


def _newest_s(directory: Path) -> float:
    try:
        found = backup_format.backups(_names(directory))
    except FileNotFoundError:
        return -math.inf
    except OSError as error:
        _log.error("backups-unknown", directory=directory, error=str(error))
        return -math.inf
    return float(found[-1].time_s) if found else -math.inf


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
