"""How coordctl prints members: as etcdctl does, and with their versions during an upgrade."""

from collections.abc import Sequence

import msgspec

from coordinator.core.cluster import versions
from coordinator.core.ctl.results import MemberInfo


def with_versions(members: Sequence[MemberInfo]) -> list[MemberInfo]:
    """Return the members with their versions if these differ, else without, as etcdctl's are."""
    known = {_version(member) for member in members if member.name}
    return [
        msgspec.structs.replace(
            each, version=_version(each) if each.name and len(known) > 1 else ""
        )
        for each in members
    ]


def mixed_versions(members: Sequence[MemberInfo]) -> str:
    """Say which members keep the cluster at a lower version than others; empty if none do."""
    shown = [member for member in with_versions(members) if member.version]
    if not shown:
        return ""
    least = versions.common(member.version for member in shown)
    behind = [member.name for member in shown if versions.parse(member.version) == least]
    return f"cluster version is {least}, because of {', '.join(behind)}"


def member_line(member: MemberInfo, leader: MemberInfo) -> str:
    """Return a member's line of `member list`."""
    peers, clients = ",".join(member.peer_urls), ",".join(member.client_urls)
    if not member.name:
        return f"{member.id}[unstarted]: peerURLs={peers}"
    leads = str(member.id == leader.id).lower()
    line = f"{member.id}: name={member.name} peerURLs={peers} clientURLs={clients} isLeader={leads}"
    return f"{line} version={member.version}" if member.version else line


def member_row(member: MemberInfo) -> dict[str, object]:
    """Return a member for JSON; without a version it is etcdctl's."""
    row: dict[str, object] = msgspec.to_builtins(member)
    return row if member.version else {name: row[name] for name in row if name != "version"}


def _version(member: MemberInfo) -> str:
    return str(versions.parse(member.version))
