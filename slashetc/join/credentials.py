"""The credentials of a person: a folder for ~/.config/slashetc.

user.pem user.key      who they are to the store and to every listener
signer.pem signer.key  what they sign join tokens, jobs and commands with; not for viewers
ca.pem options.toml    whom to trust, and where the store is
"""

import datetime as dt
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.client import Store
from daemonkit.core.identity import Identity
from slashetc.authority import new_keys
from slashetc.core import certificates, key_pem, keys, roles
from slashetc.core.certificates import Authority, Subject, Validity
from slashetc.core.key_pem import BadKey
from slashetc.core.keys import UserRecord
from slashetc.host.places import write
from slashetc.store.cluster_api import ClusterApi

DIRECTORY = ".config/slashetc"


class NoCredentials(Exception):  # noqa: N818 - a fact about this account
    """The credentials of an operator are not here; the message says how to get them."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a fleet, and what `not_before` says of their certificates."""

    name: str
    role: str
    since: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """An operator's signing key."""

    name: str
    fleet: str
    ca: str
    key: Ed25519PrivateKey


def directory_of(account: str) -> tuple[Path, str]:
    """Return where an account's credentials are, and the owner; root's if there is no account."""
    try:
        found = pwd.getpwnam(account)
    except KeyError:
        found = pwd.getpwuid(os.geteuid())
    return Path(found.pw_dir) / DIRECTORY, found.pw_name


def own_directory() -> Path:
    """Return where the credentials of whoever runs this are."""
    return Path.home() / DIRECTORY


def make(
    directory: Path, owner: str, person: Person, authority: Authority, now: dt.datetime
) -> None:
    """Write certificates and keys. Keys that are there already stay, so it can be repeated."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fleet = authority.fleet
    kinds = ("user", "signer") if person.role in roles.SIGNING else ("user",)
    for kind in kinds:
        path = directory / f"{kind}.key"
        key = _own_key(path, kind)
        write(path, key_pem.private_pem(key), mode=0o600, owner=owner)
        who = Identity(fleet, "signer" if kind == "signer" else "user", person.name)
        lifetime = certificates.lifetime_of(who)
        valid = new_keys.issued(now, lifetime)
        if person.since is not None and person.since > valid.since:
            valid = Validity(person.since, valid.until, valid.serial)
        subject = Subject(who, role=person.role)
        issued = certificates.issue(authority, subject, key.public_key(), valid)
        write(directory / f"{kind}.pem", certificates.pem_of(issued), owner=owner)
    write(directory / "ca.pem", certificates.pem_of(authority.certificate), owner=owner)
    _give(directory, owner)


def write_options(
    directory: Path, owner: str, endpoints: list[str], *, sign: bool, vulcan: str = ""
) -> None:
    """Write the defaults of all commands."""
    values: dict[str, object] = {
        "endpoints": endpoints,
        "ca-file": "ca.pem",
        "cert-file": "user.pem",
        "key-file": "user.key",
    }
    if sign:
        values["sign-key"] = "signer.key"
    if vulcan:
        values["vulcan"] = vulcan
    lines = [f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in values.items()]
    write(directory / "options.toml", "".join(["# Written by slashetc.\n", *lines]), owner=owner)


def register(store: Store, api: ClusterApi, directory: Path, person: Person) -> None:
    """Make a person a user of the store, and let every host trust their signatures."""
    not_before = int(person.since.timestamp()) - 1 if person.since is not None else 0
    api.put_user({"user": person.name, "roles": [person.role], "not_before": not_before})
    pem = (directory / "user.pem").read_text()
    (own,) = certificates.bundle(pem)
    record = UserRecord(
        role=person.role,
        not_after=own.not_valid_after_utc.timestamp(),
        authority=own.issuer.rfc4514_string(),
    )
    store.put(keys.user(person.name), msgspec.json.encode(record).decode())
    if person.role in roles.SIGNING:
        store.put(keys.signer(person.name), (directory / "signer.pem").read_text())


def signer(directory: Path) -> Signer:
    """Return the signing key in a folder. Raises NoCredentials."""
    try:
        key = key_pem.signer_key((directory / "signer.key").read_text())
        (own,) = certificates.bundle((directory / "signer.pem").read_text())
        authorities = certificates.bundle((directory / "ca.pem").read_text())
    except OSError as error:
        raise NoCredentials(
            f"{error.filename}: {error.strerror}: this needs the credentials of an operator; an "
            "administrator makes them by `slashetc user add NAME --role operator`, for "
            f"~/{DIRECTORY}"
        ) from None
    except (BadKey, ValueError) as error:
        raise NoCredentials(f"{directory}: {error}: copy the credentials again") from None
    who = certificates.verified(own, authorities, own.not_valid_before_utc)
    if who is None or who.kind != "signer":
        raise NoCredentials(
            f"{directory / 'signer.pem'} is no certificate of a signer of the fleet in ca.pem: "
            "copy the credentials again"
        )
    issuer = next(each for each in authorities if each.subject == own.issuer)
    return Signer(who.name, who.fleet, certificates.fingerprint(issuer), key)


def _own_key(path: Path, kind: str) -> key_pem.AnyKey:
    if path.exists():
        text = path.read_text()
        return key_pem.signer_key(text) if kind == "signer" else key_pem.tls_key(text)
    return new_keys.signer_key() if kind == "signer" else new_keys.tls_key()


def _give(directory: Path, owner: str) -> None:
    """Give the directory, and one that was made above it, to the account."""
    found = pwd.getpwnam(owner)
    for each in (directory, directory.parent):
        if each.name in {"slashetc", ".config"} and each.owner() == "root" != owner:
            os.chown(each, found.pw_uid, found.pw_gid)
    directory.chmod(0o700)
