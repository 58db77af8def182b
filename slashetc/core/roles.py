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
_HOST = f"{_FLEET}/hosts/{{machine}}"
_OWN = "/slashetc/v1"
# The longest name of a service, in labels, whose endpoints a host may write.
DNS_LABELS_MAX = 8
_INFO = ("info", "metrics")
_SEMAPHORES = (f"{_LOCKS}/semaphore", f"{_LOCKS}/groups/*/semaphore")
_DEPTHS = tuple("*/" * depth for depth in range(1, DNS_LABELS_MAX + 1))


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


# Records of the fleet that everybody in it may see. Requests hold join tokens: the authority alone.
_RECORDS = tuple(
    f"{_OWN}/{each}"
    for each in ("fleet", "authority", "admitted/*", "hosts/*", "signers/*", "users/*", "evicted/*")
)
HOST = Role(
    "host",
    "fleetd, locksmithd, confd and the agent of a host",
    read=(
        *_RECORDS,
        f"{_LOCKS}/*",
        # `fleetctl drain self` waits for the instances of this host.
        _FLEET,
        *(f"{_FLEET}/{each}" for each in ("leader", "epoch", "health")),
        *(f"{_FLEET}/{each}/*" for each in ("jobs", "units", "signatures", "services")),
        f"{_HOST}/*",
        "/skydns/*",
        "/vulcand/backends/*/servers/*-{machine8}",
        # What confd's templates may show, on every host and on this one.
        "/config/*",
        "/config-of/{host}/*",
    ),
    write=(
        f"{_OWN}/hosts/{{machine}}",
        *(f"{_HOST}/{each}" for each in ("status", "facts", "endpoints", "drain", "cordon")),
        f"{_FLEET}/answers/{{machine}}-*",
        *(f"/skydns/{depth}*-{{machine8}}" for depth in _DEPTHS),
        "/vulcand/backends/*/servers/*-{machine8}",
        f"{_EXT}/hosts/{{machine}}",
        f"{_EXT}/holders/*/{{machine}}",
        f"{_EXT}/queue/*/{{machine}}",
        f"{_EXT}/failures/*/{{machine}}",
        f"{_EXT}/reboots/{{machine}}",
        f"{_EXT}/history/*/*-{{machine8}}-*",
    ),
    own=_SEMAPHORES,
)
HOST_SKYDNS = Role("host-skydns", "skydns of a host", read=("/skydns", "/skydns/*"))
HOST_VULCAND = Role(
    "host-vulcand",
    "vulcand of a host; what its API changes is written with the caller's own rights",
    read=(
        "/vulcand", "/vulcand/*", "/vulcand-history", "/vulcand-history/*", "/vulcand-status",
        "/vulcand-status/*", "/vulcand-salt",
    ),
    write=("/vulcand-salt", "/vulcand-status/{host}"),
)  # fmt: skip
MEMBER = Role(
    "member",
    "the daemons of a host with a member of the store: one of them schedules the jobs",
    read=(f"{_OWN}/answers/*", f"{_FLEET}/*", "/skydns/*", "/vulcand/backends/*"),
    write=(
        *(f"{_FLEET}/{each}" for each in ("leader", "epoch", "health", "events/*")),
        *(f"{_FLEET}/{each}/*" for each in ("jobs", "units", "signatures")),
        f"{_FLEET}/hosts/*/inbox/plan",
        f"{_FLEET}/hosts/*/endpoints",
        *(f"/skydns/{depth}*-*" for depth in _DEPTHS),
        "/vulcand/backends/*/servers/*",
        # Which member may reboot; slots of hosts that are lost; events that are old.
        *_SEMAPHORES,
        *(f"{_EXT}/{each}" for each in ("store-member", "history/*", "holders/*", "failures/*")),
        f"{_OWN}/requests/*",
    ),
    cluster=(*_INFO, "leadership"),
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
    "somebody who looks; requests to hosts and their answers may hold secrets",
    read=(
        *_RECORDS,
        f"{_LOCKS}/*",
        _FLEET,
        *(f"{_FLEET}/{each}" for each in ("leader", "epoch", "health", "events/*")),
        *(f"{_FLEET}/{each}/*" for each in ("jobs", "units", "signatures", "services")),
        *(
            f"{_FLEET}/hosts/*/{each}"
            for each in ("facts", "status", "endpoints", "cordon", "drain", "inbox/plan")
        ),
        "/skydns/*",
        "/vulcand-status/*",
        "/vulcand-history/*",
    ),
)
OPERATOR = Role(
    "operator",
    "somebody who runs jobs, drains hosts, changes names and routes, and makes join tokens",
    read=("/*",),
    write=(
        f"{_LOCKS}/*",
        *(f"{_FLEET}/{each}/*" for each in ("jobs", "units", "signatures", "services", "answers")),
        *(f"{_FLEET}/hosts/*/{each}" for each in ("cordon", "drain", "inbox/ask/*")),
        "/skydns/*",
        "/vulcand/*",
        "/vulcand-history/*",
        "/config/*",
        "/config-of/*",
    ),
    cluster=(*_INFO, "leadership", "backup", "audit"),
)
ADMIN = Role(
    "admin",
    "somebody who may do everything: let hosts and people in and out, change the roles",
    read=("/*",),
    write=("/*",),
    cluster=(*_INFO, "members", "leadership", "backup", "auth", "audit", "discovery"),
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
