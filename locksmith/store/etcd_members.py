"""The members of an etcd, by its v3 API: Cluster.MemberList, Maintenance.Status and MoveLeader."""

import msgspec

from coordinator.client.http.endpoint_pool import EndpointPool
from coordinator.client.v3.gateway import Gateway

LIST = "/v3/cluster/member/list"
STATUS = "/v3/maintenance/status"
MOVE = "/v3/maintenance/transfer-leadership"


class Member(msgspec.Struct, frozen=True):
    """A member of the store. A learner has no vote; only etcd's v3 API knows them.

    `id` is hexadecimal in the v2 API and decimal in the v3 API.
    """

    id: str
    name: str = ""
    client_urls: tuple[str, ...] = msgspec.field(name="clientURLs", default=())
    peer_urls: tuple[str, ...] = msgspec.field(name="peerURLs", default=())
    is_learner: bool = msgspec.field(name="isLearner", default=False)


class _V3Member(Member, frozen=True):
    id: str = msgspec.field(name="ID")


class _MembersResponse(msgspec.Struct):
    members: tuple[_V3Member, ...]


class _Header(msgspec.Struct):
    member_id: str = ""


class _StatusResponse(msgspec.Struct):
    header: _Header = msgspec.field(default_factory=_Header)
    leader: str = ""


class _MoveResponse(msgspec.Struct):
    pass


def listed(servers: EndpointPool) -> tuple[Member, ...]:
    """List the members. Raises StoreError."""
    return Gateway(servers).ask(LIST, {}, _MembersResponse).members


def is_leader(member: EndpointPool) -> bool:
    """Return whether this member leads. Raises StoreError."""
    status = Gateway(member).ask(STATUS, {}, _StatusResponse)
    return bool(status.leader) and status.leader == status.header.member_id


def move_leadership(leader: EndpointPool, target: Member) -> None:
    """Make `target` the leader. Raises StoreError."""
    Gateway(leader).ask(MOVE, {"targetID": target.id}, _MoveResponse, once=True)
