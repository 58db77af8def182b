"""What a cluster answers to coordctl, and what coordctl prints as JSON."""

import msgspec
from msgspec import UNSET, UnsetType


class KeyNode(msgspec.Struct, frozen=True, rename="camel"):
    """One key. The order of the fields is that of etcdctl's JSON."""

    key: str = ""
    dir: bool | UnsetType = UNSET
    value: str = ""
    nodes: tuple["KeyNode", ...] | None = None
    created_index: int = 0
    modified_index: int = 0
    expiration: str | UnsetType = UNSET
    ttl: int | UnsetType = UNSET


class KeyResult(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a request about a key, or one event of a watch."""

    action: str
    node: KeyNode
    prev_node: KeyNode | None = None


class ErrorResult(msgspec.Struct, frozen=True, rename="camel"):
    """An error of the v2 API."""

    error_code: int
    message: str
    cause: str = ""
    index: int = 0

    def __str__(self) -> str:
        return f"{self.error_code}: {self.message} ({self.cause}) [{self.index}]"


class MemberInfo(msgspec.Struct, frozen=True):
    """One member of the cluster."""

    id: str
    name: str = ""
    peer_urls: tuple[str, ...] = msgspec.field(default=(), name="peerURLs")
    client_urls: tuple[str, ...] = msgspec.field(default=(), name="clientURLs")
    version: str = ""


class MemberList(msgspec.Struct, frozen=True):
    """The response of /v2/members."""

    members: tuple[MemberInfo, ...]


class MemberError(msgspec.Struct, frozen=True):
    """An error of /v2/members."""

    message: str = ""


class HealthResponse(msgspec.Struct, frozen=True):
    """The response of /health. Some servers write the boolean as a string."""

    health: str | bool
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the server says that it is healthy."""
        return self.health in (True, "true")


class CertificateEnds(msgspec.Struct, frozen=True):
    """What a member's /v2/stats/self says of its certificates, in Unix seconds by use."""

    certificates: dict[str, float] = {}


class MemberHealth(msgspec.Struct, frozen=True):
    """The health of one member. `lines` say in etcdctl's words how it was found out."""

    id: str
    name: str
    status: str
    lines: tuple[str, ...]


class DumpLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a dump, with its place in a file where it has one."""

    text: str
    file: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        return self.text if self.offset is None else f"{self.offset:08x} {self.text}"
