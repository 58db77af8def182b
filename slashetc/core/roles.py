"""The roles that a fleet begins with, as documents of the store's auth API.

In a pattern, a trailing `*` is any rest of a key, another `*` any part of one segment. `{host}`,
`{machine}` and `{machine8}` stand for the caller's own, so one role serves all hosts. Under `own` a
caller may take and free only its own place in a list.

What a host runs as root is signed besides: who may write a unit may not yet run it.
"""

from dataclasses import dataclass, field
from typing import Any

_LOCKS = "/coreos.com/updateengine/rebootlock"
_EXT = f"{_LOCKS}/ext/v1"
_FLEET = "/fleet/v1"
_OWN = "/slashetc/v1"
# The longest name of a service, in labels, whose endpoints a host may write.
DNS_LABELS_MAX = 10
_INFO = ("info", "metrics")


@dataclass(frozen=True, slots=True)
class Role:
    """A role: what its users may read, write, take for themselves, and do to the cluster."""

    name: str
    about: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    cluster: tuple[str, ...] = field(default=_INFO)

    def document(self) -> dict[str, Any]:
        """Return the role as the auth API takes it."""
        own = [{"pattern": each, "list": "holders", "counter": "semaphore"} for each in self.own]
        kv = {"read": list(self.read), "write": list(self.write), "own": own}
        return {"role": self.name, "permissions": {"kv": kv, "cluster": list(self.cluster)}}


_ENDPOINTS = tuple(
    f"/skydns/{'*/' * depth}*-{{machine8}}" for depth in range(1, DNS_LABELS_MAX + 1)
)
HOST = Role(
    "host",
    "fleetd, locksmithd, confd and the agent of a host",
    read=(
        f"{_OWN}/*",
        f"{_LOCKS}/*",
        f"{_FLEET}/hosts/{{machine8}}/*",
        f"{_FLEET}/leader",
        f"{_FLEET}/epoch",
        f"{_FLEET}/units/*",
        f"{_FLEET}/signatures/*",
        "/skydns/*",
        # What confd's templates may show on every host, and on this one.
        "/config/*",
        "/config-of/{host}/*",
    ),
    write=(
        f"{_OWN}/hosts/{{machine}}",
        f"{_FLEET}/hosts/{{machine8}}/status",
        f"{_FLEET}/hosts/{{machine8}}/facts",
        f"{_FLEET}/hosts/{{machine8}}/endpoints",
        f"{_FLEET}/answers/{{machine8}}-*",
        *_ENDPOINTS,
        "/vulcand/backends/*/servers/*-{machine8}",
        f"{_EXT}/hosts/{{machine}}",
        f"{_EXT}/holders/*/{{machine}}",
        f"{_EXT}/queue/*/{{machine}}",
        f"{_EXT}/failures/*/{{machine}}",
        f"{_EXT}/reboots/{{machine}}",
        f"{_EXT}/history/*/*-{{machine8}}",
    ),
    own=(f"{_LOCKS}/semaphore", f"{_LOCKS}/groups/*/semaphore"),
)
HOST_SKYDNS = Role("host-skydns", "skydns of a host", read=("/skydns/*",))
HOST_VULCAND = Role(
    "host-vulcand",
    "vulcand of a host; what its API changes is written with the caller's own rights",
    read=("/vulcand/*", "/vulcand-history/*", "/vulcand-status/*", "/vulcand-salt"),
    write=("/vulcand-salt", "/vulcand-status/{host}", "/vulcand-status/{machine}"),
)
MEMBER = Role(
    "member",
    "the daemons of a host with a member of the store: one of them schedules the jobs",
    read=(f"{_FLEET}/*", "/skydns/*", "/vulcand/*", f"{_LOCKS}/*"),
    write=(
        f"{_FLEET}/*",
        "/skydns/*",
        "/vulcand/backends/*",
        "/vulcand/frontends/*",
        f"{_LOCKS}/*",
        f"{_OWN}/requests/*",
        f"{_OWN}/answers/*",
    ),
    cluster=(*_INFO, "members"),
)
AUTHORITY = Role(
    "authority",
    "the agent of a host with the authority's key: it signs, and makes the users of hosts",
    read=(f"{_OWN}/*",),
    write=(f"{_OWN}/*",),
    cluster=(*_INFO, "members", "auth"),
)
VIEWER = Role(
    "viewer",
    "somebody who looks",
    read=(
        f"{_OWN}/*", f"{_LOCKS}/*", f"{_FLEET}/*", "/skydns/*", "/vulcand-status/*",
        "/vulcand-history/*", "/vulcand/frontends/*", "/vulcand/backends/*",
    ),
)  # fmt: skip
OPERATOR = Role(
    "operator",
    "somebody who runs jobs, drains hosts, changes names and routes, and lets hosts in and out",
    read=("*",),
    write=("*",),
    cluster=(*_INFO, "members", "backup", "auth", "audit"),
)
ADMIN = Role(
    "admin",
    "somebody who may do everything",
    read=("*",),
    write=("*",),
    cluster=(*_INFO, "members", "backup", "auth", "audit", "discovery"),
)
JOINER = Role(
    "joiner", "a program that puts requests of hosts into the store",
    read=(f"{_OWN}/authority", f"{_OWN}/answers/*"), write=(f"{_OWN}/requests/*",), cluster=(),
)  # fmt: skip
# Closed: without credentials nobody sees anything.
GUEST = Role("guest", "everybody without credentials", cluster=())
SHIPPED = (
    HOST, HOST_SKYDNS, HOST_VULCAND, MEMBER, AUTHORITY, VIEWER, OPERATOR, ADMIN, JOINER, GUEST,
)  # fmt: skip
# The roles that a person may have.
PEOPLE = (VIEWER.name, OPERATOR.name, ADMIN.name)
# Those of them whose keys sign what hosts run as root.
SIGNING = (OPERATOR.name, ADMIN.name)


def of_host(*, member: bool, authority: bool) -> tuple[str, ...]:
    """Return the roles of the user `host:NAME`."""
    extra = [MEMBER.name] * member + [AUTHORITY.name] * authority
    return (HOST.name, *extra)
