"""How a member publishes its name and client URLs: as notes in the log."""

from collections.abc import Iterator, Mapping

from coordinator.core.cluster.members import VERSION_NOTE, is_removed
from coordinator.core.replica.pending import PendingProposals
from coordinator.core.store.commands import Note


class Publication:
    """The notes of one member, until the key space has them."""

    def __init__(self, member: int, notes: tuple[Note, ...]) -> None:
        self._member = member
        self._notes = notes

    def is_done(self, known: Mapping[str, bytes]) -> bool:
        """Whether the cluster knows all notes of this member."""
        return all(known.get(note.kind) == note.data for note in self._notes)

    def missing(
        self, known: Mapping[str, bytes], pending: PendingProposals, *, is_leader: bool
    ) -> Iterator[Note]:
        """Yield the notes to propose. The leader also publishes the version of the cluster."""
        for note in (*self._notes, VERSION_NOTE) if is_leader else self._notes:
            if known.get(note.kind) == note.data or is_removed(known, self._member):
                continue
            if all(each.request != note for each in pending.by_sequence.values()):
                yield note
