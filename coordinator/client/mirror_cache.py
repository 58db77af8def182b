"""Reads and writes a mirror's snapshot on disk."""

import time
from collections.abc import Callable
from pathlib import Path

from coordinator.client.core.mirror_snapshot import (
    MirrorSnapshot,
    UnusableSnapshot,
    decode,
    encode,
)
from daemonkit.host import atomic_file
from daemonkit.observe import logs

# A daemon that is killed starts from a snapshot at most this old, and then catches up.
SAVE_PAUSE_S = 5.0
# Writing snapshots takes at most 1/SAVE_REST of the mirror's time.
SAVE_REST = 20

log = logs.get("mirror")


class MirrorCache:
    """The snapshot file of one mirror. Without a path it does nothing."""

    def __init__(self, path: Path | None, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._due_s = 0.0
        self._complaint = ""

    def load(self) -> MirrorSnapshot | None:
        """Return the snapshot, or None without a usable one. The log says what is wrong with it."""
        if self._path is None:
            return None
        try:
            return decode(self._path.read_bytes(), self._prefix)
        except FileNotFoundError:
            return None
        except (UnusableSnapshot, OSError) as error:
            log.warning("cache-ignored", path=self._path, reason=error)
            return None

    def is_due(self) -> bool:
        """Return whether it is time to write a new snapshot, if anything changed."""
        return self._path is not None and time.monotonic() >= self._due_s

    def save(self, snapshot: Callable[[], MirrorSnapshot]) -> bool:
        """Write a new snapshot. False if the disk does not take it; each reason is logged once."""
        if self._path is None:
            return True
        began_s = time.monotonic()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Readable by its owner only: values can be secrets.
            atomic_file.write(self._path, encode(snapshot()))
        except OSError as error:
            if str(error) != self._complaint:
                log.warning("cache-not-written", path=self._path, reason=error)
            self._complaint = str(error)
        else:
            self._complaint = ""
        now_s = time.monotonic()
        self._due_s = now_s + max(SAVE_PAUSE_S, SAVE_REST * (now_s - began_s))
        return not self._complaint
