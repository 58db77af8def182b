"""A member's ids and the first members of its cluster, before it has a log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.core.cluster.ids import cluster_id, member_id

# The peer URL of a member that was started alone: nobody reaches it there.
ALONE_URL = "http://localhost:2380"


class BootstrapError(Exception):
    """The flags, the other members or the discovery service do not let this member start."""


@dataclass(frozen=True, slots=True)
class InitialMembership:
    """A member's ids, and the members that it knows before it has a log.

    `peers` and `founders` are peer URLs by member id. `founders` are the first members if this is
    one of them, else empty.
    """

    member: int
    cluster: int
    peers: dict[int, tuple[str, ...]]
    founders: dict[int, tuple[str, ...]]


def founder(
    peer_urls: Sequence[str], members: Mapping[str, Iterable[str]], token: str
) -> InitialMembership:
    """Return the membership of one of the first members. Raises BootstrapError."""
    urls = {name: tuple(sorted(each)) for name, each in members.items()}
    ids = {member_id(each, token): each for each in urls.values()}
    own_id = member_id(peer_urls, token)
    if own_id not in ids:
        raise BootstrapError(
            f"the initial cluster has no member with the peer URLs {', '.join(peer_urls)}"
        )
    return InitialMembership(own_id, cluster_id(ids), ids, ids)
