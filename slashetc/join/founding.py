"""`slashetc init`: makes a fleet of one host, closed from its first minute.

Each step does what is missing, so a second run is harmless, and a half done one is continued.
"""

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordinator.client import KeyNotFound, Store, connect
from daemonkit.host import machine_id
from slashetc.agent.trust_files import trusted_authorities
from slashetc.authority import key_store, new_keys
from slashetc.authority.office import identity_of
from slashetc.core import admission, certificates, host_files, key_pem, keys, roles, trust
from slashetc.core.admission import Admission
from slashetc.core.certificates import Authority, Subject
from slashetc.core.fleet_file import DAEMONS, FleetFile
from slashetc.core.keys import AdmittedHost, FleetRecord
from slashetc.core.requests import NAMES
from slashetc.host import checks, units
from slashetc.host.checks import CheckFailed
from slashetc.host.places import NotInFleet, Places, write
from slashetc.join import credentials, own_requests
from slashetc.join.credentials import Person
from slashetc.join.own_requests import own_certificates, utc_now
from slashetc.store import cluster_api
from slashetc.store.cluster_api import ClusterApi

LOCAL = f"unix://{host_files.LOCAL_SOCKET}"
STORE_S = 60.0
MEMBER_DATA = Path("/var/lib/coordinator/member")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Founding:
    """The options of `slashetc init`."""

    places: Places
    fleet: str
    name: str
    address: str
    domain: str
    operator: str
    without: tuple[str, ...] = ()
    # Where the authority's key is, if not on this host.
    offline: Path | None = None
    next_hosts: tuple[str, ...] = ()

    @property
    def authority(self) -> Path:
        """The authority's directory."""
        return self.offline or self.places.authority


@dataclass(slots=True)
class Founded:
    """What was made."""

    file: FleetFile
    authority: Authority
    credentials: Path
    operator: str


def found(options: Founding, say: Say) -> Founded:
    """Make the fleet. Raises CheckFailed, UnitFailed, StoreError, NoAuthority, OSError."""
    checks.check_root()
    checks.check_systemd()
    file = _described(options)
    check_free(options.places, file)
    now = utc_now()
    options.places.make()
    authority = _authority(options, file, now)
    say(f"authority of {file.fleet}: {certificates.fingerprint(authority.certificate)[:16]}")
    _certify(options.places, file, authority, now)
    directory, owner = credentials.directory_of(options.operator)
    person = Person(options.operator, roles.ADMIN.name)
    _make_credentials(directory, owner, person, authority, now)
    _trust(options.places, authority, directory, person)
    options.places.write_host_files(file)
    wanted = host_files.units(file)
    units.enable(wanted)
    units.start(["coordinator.service"])
    if not cluster_api.wait_for_leader(LOCAL, None, STORE_S):
        raise CheckFailed(
            f"the store does not answer at {host_files.LOCAL_SOCKET} after {STORE_S:.0f} s: "
            "`journalctl -u coordinator` says why; then run this again"
        )
    _close(file, authority, directory, person)
    say("roles are enforced: nobody reads or writes without credentials")
    _operator_options(file, directory, owner)
    units.start(wanted)
    say(f"running: {', '.join(each.removesuffix('.service') for each in wanted)}")
    return Founded(file, authority, directory, options.operator)


def _described(options: Founding) -> FleetFile:
    try:
        known = options.places.read()
    except NotInFleet:
        if options.places.fleet_file.exists():
            raise
    else:
        if not known.first or options.fleet not in {"", known.fleet}:
            raise CheckFailed(
                f"this host is in the fleet {known.fleet} as {known.host} already: to make another "
                "fleet here, run `slashetc leave` first"
            )
        return known
    if MEMBER_DATA.exists():
        raise CheckFailed(
            f"{MEMBER_DATA} holds the data of a store that runs, or ran, on this host, and this "
            "makes a new store: `systemctl disable --now coordinator`, move the directory away, "
            "and run this again; `coordctl migrate` copies the keys of another store"
        )
    address = checks.address(options.address)
    described = FleetFile(
        fleet=options.fleet or "fleet",
        host=checks.host_name(options.name),
        machine=machine_id.read(),
        address=address,
        domain=options.domain,
        member=True,
        authority=options.offline is None,
        first=True,
        daemons=daemons_without(options.without),
    )
    return msgspec.structs.replace(described, endpoints=[described.client_url])


def daemons_without(without: tuple[str, ...]) -> list[str]:
    """Return the daemons of a host, but those that are left out. Raises CheckFailed."""
    unknown = sorted(set(without) - set(DAEMONS))
    if unknown:
        raise CheckFailed(f"--without {unknown[0]}: the daemons are {', '.join(DAEMONS)}")
    return [each for each in DAEMONS if each not in without]


def check_free(places: Places, file: FleetFile) -> None:
    """Raise CheckFailed if something else runs where a daemon of this host will."""
    named = {
        "coordinator": "coordinator.service",
        "slashetc-agent": "slashetc-agent.service",
        "skydns": "skydns.socket",
        "vulcand": "vulcand.socket",
    }
    running = units.active(list(named.values()))
    if "coordinator.service" in running and not places.fleet_file.exists():
        raise CheckFailed(
            "a member of a store runs on this host already, and this makes a new one: "
            "`systemctl disable --now coordinator` and move /var/lib/coordinator away, or take "
            "another host"
        )
    ours = [daemon for daemon, unit in named.items() if unit in running]
    checks.check_ports(file, ours)


def _authority(options: Founding, file: FleetFile, now: dt.datetime) -> Authority:
    if key_store.exists(options.authority):
        known = key_store.load(options.authority)
        if known.fleet != file.fleet:
            raise CheckFailed(
                f"{options.authority} has the authority of the fleet {known.fleet}: move it away, "
                f"or say --fleet {known.fleet}"
            )
        return known
    return key_store.create(options.authority, file.fleet, now, seal=options.offline is None)


def _certify(places: Places, file: FleetFile, authority: Authority, now: dt.datetime) -> None:
    """Issue this host's own certificates, but for those that are there."""
    # While the authority changes, another one is trusted, too.
    if not places.ca.exists() or authority.certificate not in trusted_authorities(places):
        write(places.ca, certificates.pem_of(authority.certificate))
    if not places.revoked.exists():
        write(places.revoked, trust.revoked_file([]))
    known = own_certificates(places)
    for name in NAMES:
        key = own_requests.own_key(places, name)
        if name in known and known[name].public_key() == key.public_key():
            continue
        who = identity_of(file.fleet, file.host, name)
        valid = new_keys.issued(now, certificates.lifetime_of(who))
        subject = Subject(who, (file.address,))
        issued = certificates.issue(authority, subject, key.public_key(), valid)
        write(places.certificate(name), certificates.pem_of(issued))


def _make_credentials(
    directory: Path, owner: str, person: Person, authority: Authority, now: dt.datetime
) -> None:
    known = directory / "user.pem"
    if known.exists() and (directory / "signer.pem").exists():
        (own,) = certificates.bundle(known.read_text())
        if certificates.verified(own, (authority.certificate,), now) is not None:
            return
    credentials.make(directory, owner, person, authority, now)


def _trust(places: Places, authority: Authority, directory: Path, person: Person) -> None:
    pem = (directory / "signer.pem").read_text()
    key = trust.signer_key(person.name, pem, (authority.certificate,), None)
    if key is None:
        raise CheckFailed(
            f"{directory} has the credentials of another person or fleet: move it away, or give "
            "another --operator"
        )
    write(places.trusted_keys / f"{person.name}.pem", key_pem.public_pem(key))


def _close(file: FleetFile, authority: Authority, directory: Path, person: Person) -> None:
    """Write the fleet's records, the roles and the first users, and enforce them."""
    with connect(LOCAL) as store, ClusterApi(LOCAL) as api:
        for role in roles.SHIPPED:
            if not api.has_role(role.name):
                api.put_role(role.document())
        if not api.has_user("root"):
            # Root is who is root on a member; nobody knows this password.
            api.put_user({"user": "root", "password": secrets.token_urlsafe(32)})
        created = f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"
        record = FleetRecord(name=file.fleet, created=created, domain=file.domain)
        _write_new(store, keys.FLEET, msgspec.json.encode(record).decode())
        _write_new(store, keys.AUTHORITY, certificates.pem_of(authority.certificate))
        host = AdmittedHost(
            host=file.host,
            address=file.address,
            member=True,
            authority=file.authority,
            at=created,
        )
        _write_new(store, keys.admitted(file.machine), msgspec.json.encode(host).decode())
        admitted = Admission(file.host, member=True, keys={})
        for user in admission.users(admitted, file.machine, authority=file.authority):
            api.put_user(user)
        credentials.register(store, api, directory, person)
        api.enable_auth()


def _write_new(store: Store, key: str, value: str) -> None:
    try:
        store.get(key)
    except KeyNotFound:
        store.put(key, value)


def _operator_options(file: FleetFile, directory: Path, owner: str) -> None:
    local = [LOCAL] if owner == "root" else []
    credentials.write_options(directory, owner, [*local, *file.endpoints], sign=True)
    if owner != "root":
        root = credentials.directory_of("root")[0]
        text = f'# Written by slashetc.\nendpoints = ["{LOCAL}"]\n'
        write(root / "options.toml", text)
