"""The keys of a fleet, below /slashetc/v1, and their documents."""

import msgspec

PREFIX = "/slashetc/v1"
FLEET = f"{PREFIX}/fleet"
# The certificates of the authority: one, or while it changes two with a cross-certificate.
AUTHORITY = f"{PREFIX}/authority"
ADMITTED = f"{PREFIX}/admitted"
HOSTS = f"{PREFIX}/hosts"
REQUESTS = f"{PREFIX}/requests"
ANSWERS = f"{PREFIX}/answers"
SIGNERS = f"{PREFIX}/signers"
USERS = f"{PREFIX}/users"
EVICTED = f"{PREFIX}/evicted"
# A request that nobody has answered by then is gone; its host asks again.
REQUEST_TTL_S = 600


class FleetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet: its name, when it was made, and the domain of its services in DNS."""

    name: str
    created: str = ""
    domain: str = ""


class AdmittedHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that the authority has let in, with the name and the address in its certificate.

    No host can write this, so the authority decides by it.
    """

    host: str
    address: str
    member: bool = False
    authority: bool = False
    at: str = ""


class HostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says of itself.

    `not_after` (Unix seconds) is when its first certificate ends. `trusts` has the SHA-256 of the
    authorities that it trusts, `issuer` that of the one which issued all its certificates.
    """

    host: str
    address: str = ""
    member: bool = False
    authority: bool = False
    version: str = ""
    not_after: float = 0.0
    trusts: list[str] = []
    issuer: str = ""
    at: str = ""


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A person: the role, when the certificate ends (Unix s), and the authority that issued it."""

    role: str
    not_after: float
    authority: str = ""


class Eviction(msgspec.Struct, frozen=True, kw_only=True):
    """A host, or a person: its certificates of `before` (Unix seconds) or earlier are refused."""

    name: str
    before: float
    by: str
    user: bool = False


def admitted(machine: str) -> str:
    """A host that was let in, under its machine-id. Written by the authority."""
    return f"{ADMITTED}/{machine}"


def host(machine: str) -> str:
    """What a host says of itself. Written by its agent."""
    return f"{HOSTS}/{machine}"


def request(request_id: str) -> str:
    """A request for certificates, which waits for the authority. Has a TTL."""
    return f"{REQUESTS}/{request_id}"


def answer(request_id: str) -> str:
    """The authority's answer to a request. Has a TTL."""
    return f"{ANSWERS}/{request_id}"


def signer(name: str) -> str:
    """The certificate of a key that signs what hosts run as root."""
    return f"{SIGNERS}/{name}"


def user(name: str) -> str:
    """A person of the fleet."""
    return f"{USERS}/{name}"


def evicted_host(name: str) -> str:
    """A host that is out of the fleet."""
    return f"{EVICTED}/host-{name}"


def evicted_user(name: str) -> str:
    """A person who is out of the fleet."""
    return f"{EVICTED}/user-{name}"
