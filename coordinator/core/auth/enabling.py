"""When auth can be enabled: not beside members that would let everybody in.

A member of release 0.1 knows no users. So they are enforced only by a cluster whose members all run
a later release, and from then on the log requires one.
"""

from collections.abc import Mapping

from coordinator.core.cluster import versions
from coordinator.core.cluster.members import cluster_version, members_in
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.raft.membership import Configuration
from coordinator.core.store.commands import Note

NEEDED = ClusterVersion(0, 2)


def problem(notes: Mapping[str, bytes], configuration: Configuration) -> str:
    """Say why auth cannot be enabled; an empty string if it can."""
    members = members_in(notes, configuration)
    if cluster_version(members) >= NEEDED:
        return ""
    behind = [each for each in members if each.is_behind(NEEDED)]
    named = ", ".join(f"{each.name} ({each.version or versions.FIRST})" for each in behind)
    return f"enabling auth needs cluster version {NEEDED}: upgrade {named} first"


def preparation(notes: Mapping[str, bytes]) -> list[Note]:
    """Return what goes to the log before auth is enabled."""
    return [versions.required_note(NEEDED)] if versions.required(notes) < NEEDED else []
