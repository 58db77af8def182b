"""Keeps commands that came after the first version out of a cluster that cannot read them."""

from collections.abc import Mapping

from coordinator.core.cluster import versions
from coordinator.core.cluster.members import cluster_version, members_in
from coordinator.core.raft.membership import Configuration
from coordinator.core.store.api_errors import ClusterUnavailable
from coordinator.core.store.commands import Note


def problem(kind: type, notes: Mapping[str, bytes], configuration: Configuration) -> str:
    """Say why no command of this kind may go to the log; an empty string if one may."""
    needed = versions.since(kind)
    if needed == versions.FIRST:
        return ""
    members = members_in(notes, configuration)
    if cluster_version(members) >= needed:
        return ""
    behind = [f"{m.name} ({m.version or versions.FIRST})" for m in members if m.is_behind(needed)]
    return f"this needs cluster version {needed}: upgrade {', '.join(behind)} first"


def admit(kind: type, notes: Mapping[str, bytes], configuration: Configuration) -> Note | None:
    """Return the note that goes to the log before a command of this kind, if there is one.

    Raises ClusterUnavailable while the cluster has members that could not read it.
    """
    needed = versions.since(kind)
    if needed is versions.FIRST:
        return None
    if why := problem(kind, notes, configuration):
        raise ClusterUnavailable(why)
    return versions.required_note(needed) if needed > versions.required(notes) else None
