"""Snapshots while the member serves: a child process writes them from its own copy."""

from collections.abc import Callable

from coordinator.storage.data_dir import DataDir
from coordinator.storage.forked_child import ForkedChild


class SnapshotWriter:
    """Writes one snapshot at a time, and calls `done(index, term, status)` at its end."""

    def __init__(self, data_dir: DataDir, done: Callable[[int, int, int], None]) -> None:
        self._data_dir = data_dir
        self._done = done
        self._child: ForkedChild | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a snapshot is being written."""
        return self._child is not None

    def begin(self, index: int, term: int, dump: Callable[[], bytes]) -> None:
        """Write the state as of entry `index` in a child process."""

        def write(_: int) -> None:
            self._data_dir.write_snapshot(index, term, dump())

        def ended(status: int) -> None:
            self._child = None
            self._done(index, term, status)

        self._child = ForkedChild(write, ended)

    def close(self) -> None:
        """End the child; the log still has everything."""
        if self._child is not None:
            self._child.kill()
