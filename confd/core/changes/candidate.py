"""The desired files of a resource and the files on disk. Nothing is written here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from confd.core.changes.guards import GuardFailed
from confd.core.config.resource import TemplateResource, dest_of
from confd.core.keyspace.pathmatch import compiled
from confd.core.keyspace.reader import Reader

# An item becomes part of a file name: no separator, no leading dot, nothing special to a shell.
_ITEM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
# Bound on for_each: each item is a file with an fsync.
ITEMS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class FileState:
    """The content, mode and owner of a file: as it is, or as it should be."""

    content: bytes
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a resource; `item` is empty without for_each."""

    dest: str
    item: str = ""


@dataclass(slots=True)
class CandidateFile:
    """One file: its desired state, and its current state on disk (None if there is no file).

    `path` is where `dest` leads when links are followed. `staged` is the temporary file.
    """

    dest: str
    path: str
    desired: FileState
    current: FileState | None
    staged: str | None = None

    @property
    def differs(self) -> bool:
        """Whether the file must be written."""
        return self.desired != self.current


@dataclass(slots=True)
class Candidate:
    """The rendered files of one resource, or the error that prevented them.

    `stale` are files of for_each whose item no longer exists. `os_error` is set when the error
    came from the file system; `is_guard_failure` when a guard stopped the text.
    """

    resource: TemplateResource
    reader: Reader
    files: list[CandidateFile] = field(default_factory=list)
    stale: tuple[str, ...] = ()
    error: str = ""
    is_guard_failure: bool = False
    os_error: OSError | None = None

    @property
    def changed(self) -> list[CandidateFile]:
        """The files that must be written."""
        return [file for file in self.files if file.differs]


def outputs(resource: TemplateResource, reader: Reader) -> Iterator[Output]:
    """Yield the files that a resource has with these keys. Raises GuardFailed."""
    if not resource.for_each:
        yield Output(resource.dest)
        return
    above, _, last = resource.for_each.rpartition("/")
    names = sorted(filter(compiled(last).matches, reader.children(above)))
    if len(names) > ITEMS_MAX:
        raise GuardFailed(f"for_each: more than {ITEMS_MAX} items")
    for name in names:
        if not _ITEM.fullmatch(name):
            raise GuardFailed(
                f"for_each: {name!r} cannot be part of a file name: use letters, digits and ._-"
            )
        yield Output(dest_of(resource.dest, name), name)
