"""The members of the cluster, as the replicated notes describe them.

The note `members/<id>/raft` has a member's peer URLs. The note `members/<id>/attributes` has its
name, client URLs and version, which the member publishes once it runs. An empty note stands for a
member that was removed forever. (etcd keeps the same under /0/members and /0/removed_members.)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from coordinator.core.cluster import versions
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.raft.membership import Configuration
from coordinator.core.store.commands import Note

_T = TypeVar("_T")
_PREFIX = "members/"
_RAFT = "/raft"
_ATTRIBUTES = "/attributes"
_KIND = re.compile(f"{_PREFIX}([0-9a-f]{{1,16}})({_RAFT}|{_ATTRIBUTES})")
VERSION_NOTE = Note("version", b"2.3.0")


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the cluster knows it. `name` is empty until it has run.

    `version` is the cluster version that it announces, empty for a member of release 0.1.
    """

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool = False
    version: str = ""

    def is_behind(self, needed: ClusterVersion) -> bool:
        """Return whether it runs a release that does not know this version."""
        return bool(self.name) and versions.parse(self.version) < needed

    def as_json(self) -> dict[str, object]:
        """Return the member in the form of /v2/members."""
        shown: dict[str, object] = {
            "id": f"{self.id:x}",
            "name": self.name,
            "peerURLs": list(self.peer_urls),
            "clientURLs": list(self.client_urls),
        }
        if self.learner:
            shown["isLearner"] = True
        if self.version:
            shown["version"] = self.version
        return shown


class RaftAttributes(msgspec.Struct):
    """The content of the note `members/<id>/raft`."""

    peer_urls: tuple[str, ...] = msgspec.field(default=(), name="peerURLs")


class Attributes(msgspec.Struct):
    """The content of the note `members/<id>/attributes`."""

    name: str = ""
    client_urls: tuple[str, ...] = msgspec.field(default=(), name="clientURLs")
    version: str = ""


def peer_urls_note(member: int, peer_urls: Sequence[str]) -> Note:
    """Return the note of a member's peer URLs."""
    return Note(peer_urls_kind(member), encode_peer_urls(peer_urls))


def peer_urls_kind(member: int) -> str:
    """Return the kind of a member's note; the note is empty once the member was removed."""
    return f"{_PREFIX}{member:x}{_RAFT}"


def encode_peer_urls(peer_urls: Sequence[str]) -> bytes:
    """Return the content of that note."""
    return msgspec.json.encode({"peerURLs": peer_urls})


def attributes_note(member: int, name: str, client_urls: Sequence[str]) -> Note:
    """Return the note of a member's name, its client URLs and the version that it knows."""
    attributes = {"name": name, "clientURLs": client_urls, "version": str(versions.OWN)}
    return Note(f"{_PREFIX}{member:x}{_ATTRIBUTES}", msgspec.json.encode(attributes))


def is_removed(notes: Mapping[str, bytes], member: int) -> bool:
    """Return whether the member was removed from the cluster."""
    return notes.get(peer_urls_kind(member)) == b""


def removed_members(notes: Mapping[str, bytes]) -> frozenset[int]:
    """Return the members that were removed from the cluster."""
    kinds = (_KIND.fullmatch(kind) for kind, data in notes.items() if not data)
    return frozenset(int(kind[1], 16) for kind in kinds if kind and kind[2] == _RAFT)


def note_problem(note: Note) -> str:
    """Say why a note that a member forwards must not go to the log; an empty string if it may."""
    if note.kind == VERSION_NOTE.kind:
        return "" if note == VERSION_NOTE else "the leader decides on the version"
    if versions.is_required_note(note):
        return ""
    kind = _KIND.fullmatch(note.kind)
    if kind is None:
        return f"{note.kind[:100]!r} is no note of a member"
    # A note without data means a removal, which only the change of membership itself writes.
    return peer_urls_problem(note.data) if kind[2] == _RAFT else _problem(note.data, Attributes)


def peer_urls_problem(data: bytes) -> str:
    """Say why this is not the content of a member's peer URLs; an empty string if it is."""
    return _problem(data, RaftAttributes)


def _problem(data: bytes, kind: type[RaftAttributes | Attributes]) -> str:
    try:
        msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        return f"not the attributes of a member: {error}"
    return ""


def is_about_member(kind: str) -> bool:
    """Return whether a note is about one member."""
    return kind.startswith(_PREFIX)


def has_run(notes: Mapping[str, bytes], member: int) -> bool:
    """Return whether the member has ever run: then it has published its name."""
    return f"{_PREFIX}{member:x}{_ATTRIBUTES}" in notes


def cluster_version(members: Iterable[Member]) -> ClusterVersion:
    """Return the version that all members know which have ever run."""
    return versions.common(member.version for member in members if member.name)


def members_in(notes: Mapping[str, bytes], configuration: Configuration) -> tuple[Member, ...]:
    """Return the members of a configuration, by id."""
    return tuple(
        _member(notes, member, learner=member in configuration.learners)
        for member in sorted(configuration.members)
    )


def _member(notes: Mapping[str, bytes], member: int, *, learner: bool) -> Member:
    key = f"{_PREFIX}{member:x}"
    raft = _read(notes.get(key + _RAFT), RaftAttributes)
    attributes = _read(notes.get(key + _ATTRIBUTES), Attributes)
    return Member(
        member,
        attributes.name,
        raft.peer_urls,
        attributes.client_urls,
        learner,
        attributes.version,
    )


def _read(data: bytes | None, kind: type[_T]) -> _T:
    """Return the content of a note; without one, or if it is damaged, that of an empty note."""
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.MsgspecError, RecursionError):
        return kind()
