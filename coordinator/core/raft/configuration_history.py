"""The configurations that a log holds: the last one counts, committed or not. (Thesis, 4.1)"""

from collections.abc import Sequence

from coordinator.core.raft import membership
from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.membership import Configuration


class ConfigurationHistory:
    """Configurations by the index that made them, from the snapshot's on."""

    def __init__(self, index: int, configuration: Configuration) -> None:
        self.restart(index, configuration)

    @property
    def latest(self) -> Configuration:
        """The configuration that counts."""
        return self._made[-1][1]

    @property
    def changed_at(self) -> int:
        """The index of the entry that made it."""
        return self._made[-1][0]

    def at(self, index: int) -> Configuration:
        """Return the configuration as of an index that is not compacted."""
        return next(made for at, made in reversed(self._made) if at <= index)

    def note(self, entries: Sequence[LogEntry]) -> None:
        """Follow entries that were appended."""
        for entry in entries:
            if (change := membership.decode(entry.data)) is not None:
                self._made.append((entry.index, membership.changed(self.latest, change)))

    def forget(self, index: int) -> None:
        """Go back to before the entry at `index`, which was overwritten."""
        while self._made[-1][0] >= index:
            self._made.pop()

    def restart(self, index: int, configuration: Configuration) -> None:
        """Begin anew behind a snapshot."""
        self._made: list[tuple[int, Configuration]] = [(index, configuration)]

    def compact(self, index: int) -> None:
        """Forget what an entry behind the snapshot's at `index` cannot need."""
        while len(self._made) > 1 and self._made[1][0] <= index:
            del self._made[0]
