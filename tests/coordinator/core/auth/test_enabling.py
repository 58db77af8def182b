"""Auth is enabled only where every member enforces it."""

from coordinator.core.auth import enabling
from coordinator.core.cluster import versions
from coordinator.core.cluster.members import attributes_note
from coordinator.core.raft.membership import Configuration
from coordinator.core.store.commands import Note

TWO = Configuration(frozenset((1, 2)))
NEW = attributes_note(1, "one", ())


def notes(*given: Note) -> dict[str, bytes]:
    return {note.kind: note.data for note in given}


def test_a_member_of_release_0_1_keeps_it_disabled() -> None:
    old = Note("members/2/attributes", b'{"name":"two","clientURLs":[]}')
    why = enabling.problem(notes(NEW, old), TWO)
    assert why == "enabling auth needs cluster version 0.2: upgrade two (0.1) first"
    assert enabling.problem(notes(NEW, attributes_note(2, "two", ())), TWO) == ""


def test_the_log_requires_its_version_from_then_on() -> None:
    (note,) = enabling.preparation({})
    assert versions.required(notes(note)) == enabling.NEEDED
    assert enabling.preparation(notes(note)) == []
