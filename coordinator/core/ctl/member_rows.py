"""How coordctl prints members: as etcdctl does, and with their versions during an upgrade."""

from collections.abc import Mapping, Sequence

import msgspec

from coordinator.core.cluster import versions
from coordinator.core.ctl.results import MemberInfo

DAY_S = 86_400.0
# Certificates of a fleet last 30 days, and are renewed when 10 are left.
EXPIRES_SOON_DAYS = 10.0


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


def certificate_lines(member: str, ends: Mapping[str, float], now_s: float) -> list[str]:
    """Warn of a member's certificates that end soon. Times are Unix seconds."""
    found = []
    for use, end_s in sorted(ends.items()):
        days = (end_s - now_s) / DAY_S
        if days <= 0:
            found.append(f"warning: the {use} certificate of member {member} has expired")
        elif days < EXPIRES_SOON_DAYS:
            left = f"{int(days)} days" if days >= 2 else f"{days * 24:.0f} hours"
            found.append(
                f"warning: the {use} certificate of member {member} ends in {left}: "
                "renew it, or look why it is not renewed"
            )
    return found


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
