"""The authority's decisions: whom it lets in, whose certificates it renews, and what they get."""

import datetime as dt
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509

from slashetc.core import certificates, requests, roles, tokens
from slashetc.core.certificates import BadRequest, PublicKey
from slashetc.core.keys import AdmittedHost, Eviction
from slashetc.core.requests import BadMessage, JoinRequest, Name
from slashetc.core.tokens import BadToken, Payload
from slashetc.core.trust import signer_key

# A fleet of one or two members has no majority without each of them.
MEMBERS_WANTED = 3
# A renewal is made anew for each attempt.
RENEWAL_AGE_S_MAX = 600.0


class Refused(Exception):  # noqa: N818 - a decision
    """The authority says no: the status of HTTP, and a sentence with the remedy."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class KnownFleet:
    """What the authority knows when it decides."""

    name: str
    trusted: tuple[x509.Certificate, ...]
    hosts: Mapping[str, AdmittedHost] = field(default_factory=dict)  # by machine-id
    evicted_hosts: Mapping[str, Eviction] = field(default_factory=dict)
    evicted_users: Mapping[str, Eviction] = field(default_factory=dict)
    signers: Mapping[str, str] = field(default_factory=dict)  # certificates in PEM, by name
    # The host that used a token, and its key, by the id of the token.
    used: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admission:
    """A host that gets certificates, or leaves. `not_before` is after its last eviction."""

    host: str
    member: bool
    keys: dict[Name, PublicKey]
    not_before: dt.datetime | None = None
    token: Payload | None = None

    @property
    def use(self) -> str:
        """What the authority keeps of a used token: the same key may come again with it."""
        return certificates.key_fingerprint(self.keys["host"])


def decide(request: JoinRequest, fleet: KnownFleet, now: dt.datetime) -> Admission:
    """Return what a host gets. Raises Refused."""
    _check_address(request, fleet)
    try:
        keys = {name: certificates.requested_key(pem) for name, pem in request.requests.items()}
        if request.token:
            return _joined(request, keys, fleet, now)
        return _renewed(request, keys, fleet, now)
    except (BadRequest, BadMessage, BadToken) as error:
        raise Refused(400, str(error)) from None


def token_of(text: str, fleet: KnownFleet, now: dt.datetime) -> Payload:
    """Return what a valid token says, whoever shows it. Raises Refused."""
    try:
        token = tokens.read(text)
    except BadToken as error:
        raise Refused(400, str(error)) from None
    payload = token.payload
    if payload.fleet != fleet.name:
        raise Refused(
            403,
            f"the token is for the fleet {payload.fleet}, and this is {fleet.name}: use the URL "
            "that was printed with the token, or make a token here by "
            f"`slashetc token --host {payload.host}`",
        )
    eviction = fleet.evicted_users.get(payload.signer)
    key = signer_key(payload.signer, fleet.signers.get(payload.signer, ""), fleet.trusted, eviction)
    if key is None or not token.is_signed_by(key):
        raise Refused(
            403,
            f"no operator {payload.signer} of {fleet.name} has made this token: make one by "
            f"`slashetc token --host {payload.host}` with the credentials of an operator",
        )
    if refusal := tokens.date_refusal(payload, now.timestamp()):
        raise Refused(403, refusal)
    return payload


def _check_address(request: JoinRequest, fleet: KnownFleet) -> None:
    """Refuse an address of another host: with it in a certificate, a host could be that one."""
    try:
        address = ipaddress.ip_address(request.address)
    except ValueError:
        raise Refused(400, f"{request.address[:64]!r} is no IP address: give --address") from None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        raise Refused(
            400, f"other hosts cannot reach this one at {address}: give --address with another one"
        )
    for machine, each in fleet.hosts.items():
        if machine != request.machine and each.address == str(address):
            raise Refused(
                409,
                f"the address {address} is that of {each.host}: give --address, or "
                f"`slashetc evict {each.host}` if that host is gone",
            )


def _joined(
    request: JoinRequest, keys: dict[Name, PublicKey], fleet: KnownFleet, now: dt.datetime
) -> Admission:
    payload = token_of(request.token, fleet, now)
    name = payload.host
    eviction = fleet.evicted_hosts.get(name)
    if eviction is not None and payload.issued <= eviction.before:
        raise Refused(
            403,
            f"the token for {name} is older than the eviction of {name}: make a new one by "
            f"`slashetc token --host {name}`",
        )
    use = certificates.key_fingerprint(keys["host"])
    if fleet.used.get(payload.id, use) != use:
        raise Refused(
            403,
            f"the token for {name} was used already, with another key: make a new one by "
            f"`slashetc token --host {name}`; if you did not use it, find out who did, and "
            f"`slashetc evict {name}`",
        )
    for machine, each in fleet.hosts.items():
        if each.host == name and machine != request.machine:
            raise Refused(
                409,
                f"the name {name} is taken by the machine {machine} at {each.address}: make a "
                f"token for another name, or first `slashetc evict {name}`",
            )
    known = fleet.hosts.get(request.machine)
    if known is not None and known.host != name:
        raise Refused(
            409,
            f"this machine, {request.machine}, is in the fleet as {known.host}: two machines with "
            "one id are clones (remove /etc/machine-id and run systemd-machine-id-setup); "
            f"to rename the host, run `slashetc leave` first",
        )
    member = _is_member(request, payload, fleet, known)
    return Admission(name, member, _wanted(keys, member=member), _after(eviction), payload)


def _renewed(
    request: JoinRequest, keys: dict[Name, PublicKey], fleet: KnownFleet, now: dt.datetime
) -> Admission:
    certificate = requests.signer_certificate(request)
    if abs(age_s := now.timestamp() - request.at) > RENEWAL_AGE_S_MAX:
        raise Refused(
            403,
            f"the clock of the host is {abs(age_s):.0f} s off that of the authority: set both, for "
            "example by `timedatectl set-ntp true`",
        )
    who = certificates.verified(certificate, fleet.trusted, now)
    if who is None or who.kind != "host" or who.daemon or who.fleet != fleet.name:
        raise Refused(
            403,
            f"the certificate ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, or is "
            f"not of a host of {fleet.name}: join again with a new token",
        )
    eviction = fleet.evicted_hosts.get(who.name)
    if eviction is not None and certificate.not_valid_before_utc.timestamp() <= eviction.before:
        raise Refused(403, f"{who.name} was evicted: join again with a new token")
    known = fleet.hosts.get(request.machine)
    if known is None or known.host != who.name:
        raise Refused(
            403,
            f"{who.name} is not the host of the machine {request.machine} in {fleet.name}: join "
            "again with a new token",
        )
    wanted = _wanted(keys, member=known.member)
    return Admission(who.name, known.member, wanted, _after(eviction))


def _is_member(
    request: JoinRequest, payload: Payload, fleet: KnownFleet, known: AdmittedHost | None
) -> bool:
    if known is not None and payload.member is None:
        return known.member
    if payload.member is not None:
        return payload.member
    if request.wants_member is not None:
        return request.wants_member
    return sum(each.member for each in fleet.hosts.values()) < MEMBERS_WANTED


def _wanted(keys: dict[Name, PublicKey], *, member: bool) -> dict[Name, PublicKey]:
    return {name: key for name, key in keys.items() if name != "member" or member}


def _after(eviction: Eviction | None) -> dt.datetime | None:
    if eviction is None:
        return None
    return dt.datetime.fromtimestamp(int(eviction.before) + 1, dt.UTC)


def users(admission: Admission, machine: str, *, authority: bool) -> list[dict[str, object]]:
    """Return the users of the store that a host's certificates stand for."""
    host = admission.host
    attributes = {"host": host, "machine": machine, "machine8": machine[:8]}
    own = roles.of_host(member=admission.member, authority=authority)
    found: dict[str, tuple[str, ...]] = {
        f"host:{host}": own,
        f"host:{host}:skydns": (roles.HOST_SKYDNS.name,),
        f"host:{host}:vulcand": (roles.HOST_VULCAND.name,),
    }
    not_before = int(admission.not_before.timestamp()) - 1 if admission.not_before else 0
    return [
        {"user": user, "roles": list(given), "attributes": attributes, "not_before": not_before}
        for user, given in found.items()
    ]
