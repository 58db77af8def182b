"""The version of a cluster: what all of its members understand.

A release may bring new commands of the log, new messages and new formats. It must not use them
while a member of an older release could meet them, because that one could not read its own log.

1. Each member announces the newest cluster version that it knows: in the head of each connection
   between members, and in its attributes in the log. Release 0.1 announces none, and means 0.1.
2. The cluster version is the least that a member announces. It rises with the last member that is
   upgraded, and falls with the first one that goes back.
3. What came after 0.1 has a row in SINCE, and is refused or left out below its version.
4. Before the first command of a newer version, a note in the log says that it is required from now
   on. A member that knows less is refused by name: at its start, before it changes anything, and
   by the others, before it sends anything. Until there is such a note, every member can go back.

0.2 has the commands, messages and formats of 0.1. Its members and those of 0.1 make one cluster.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from coordinator.core.store.commands import Note


class ClusterVersion(NamedTuple):
    """A version, in the order of releases."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


FIRST = ClusterVersion(0, 1)
# The newest one that this program knows.
OWN = ClusterVersion(0, 2)
# The kinds of commands and messages that came after the first version, and with which one.
SINCE: dict[type, ClusterVersion] = {}
# The kind of the note of rule 4.
REQUIRED = "required_version"

_FORM = re.compile(r"(\d{1,4})\.(\d{1,4})")


def parse(text: str) -> ClusterVersion:
    """Return an announced version; the first one for anything else, as for no announcement."""
    found = _FORM.fullmatch(text)
    return ClusterVersion(int(found[1]), int(found[2])) if found else FIRST


def common(announced: Iterable[str]) -> ClusterVersion:
    """Return the version of a cluster whose members announce these versions."""
    return min(map(parse, announced), default=FIRST)


def required(notes: Mapping[str, bytes]) -> ClusterVersion:
    """Return the version that a member must know to read the log."""
    return parse(notes.get(REQUIRED, b"").decode(errors="replace"))


def required_note(version: ClusterVersion) -> Note:
    """Return the note that makes a version required."""
    return Note(REQUIRED, str(version).encode())


def is_required_note(note: Note) -> bool:
    """Return whether a note makes a version required that this member knows."""
    return note.kind == REQUIRED and FIRST < parse(note.data.decode(errors="replace")) <= OWN


def since(kind: type) -> ClusterVersion:
    """Return the version that brought a kind of command or message."""
    return SINCE.get(kind, FIRST)


def problem(known: ClusterVersion, needed: ClusterVersion) -> str:
    """Say why a member that knows one version cannot read a log; an empty string if it can."""
    if known >= needed:
        return ""
    return (
        f"the log needs cluster version {needed}, and the member knows {known}: "
        f"run a release that knows {needed}"
    )
