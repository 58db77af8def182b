"""Measures the room and the syncs of a directory's file system, within a bounded time."""

import errno
import os
import tempfile
import time
from pathlib import Path

from slashetc.core.doctor.host_rules import DiskFacts
from slashetc.status.parallel import in_parallel

BLOCK = b"\0" * 4096
SYNCS_MAX = 64
MEASURE_S = 1.0
# A disk that hangs does not hold up the doctor.
HANG_S = 5.0
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})


def measure(directory: Path) -> DiskFacts:
    """Return the facts of the disk that has, or will have, a directory."""
    there = next(each for each in (directory, *directory.parents) if each.is_dir())
    found = in_parallel({there: lambda: _measured(there)}, HANG_S)
    hangs = f"a write did not finish within {HANG_S:g} s"
    return found.get(there, DiskFacts(str(there), error=hangs))


def _measured(directory: Path) -> DiskFacts:
    room = os.statvfs(directory)
    taken: list[float] = []
    error = unwritten = ""
    try:
        taken = _syncs(directory)
    except OSError as failure:
        said = f"{failure.strerror}"
        error, unwritten = ("", said) if failure.errno in _NOT_ALLOWED else (said, "")
    return DiskFacts(
        str(directory),
        room.f_blocks * room.f_frsize,
        room.f_bavail * room.f_frsize,
        room.f_files,
        room.f_favail,
        tuple(taken),
        error,
        unwritten,
    )


def _syncs(directory: Path) -> list[float]:
    """Write and sync blocks, as the log of a member does; return what each took."""
    taken: list[float] = []
    end_s = time.monotonic() + MEASURE_S
    # Unnamed, so that nothing stays if we are killed.
    with tempfile.TemporaryFile(dir=directory, prefix=".slashetc-doctor-", buffering=0) as file:
        while len(taken) < SYNCS_MAX and time.monotonic() < end_s:
            began_s = time.monotonic()
            file.write(BLOCK)
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - began_s)
    return taken
