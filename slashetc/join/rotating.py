"""A new authority for a running fleet, without a moment in which somebody is not trusted.

1.  The new authority is made, and the old one certifies its key. Both go into the store; each host
    checks the certificate, and trusts both.
2.  When every host trusts both, the new key signs. Agents see that their certificates are of the
    old authority, and renew. What they show has the certificate of the old authority for the new
    one behind it, for people who trust the old one alone. Signers, and the administrator who does
    this, get new certificates for the keys that they have.
3.  When every host and every person has a certificate of the new authority, `--finish` takes the
    old one out.

Each step looks at what is there, so a rotation that was interrupted goes on.
"""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509

from coordinator.client import Store
from daemonkit.core.identity import Identity
from slashetc.authority import key_store, new_keys
from slashetc.core import certificates, keys, records, trust
from slashetc.core.certificates import Authority, Subject
from slashetc.core.keys import HostRecord, UserRecord
from slashetc.core.records import Records
from slashetc.host import units
from slashetc.host.checks import CheckFailed
from slashetc.host.places import write
from slashetc.join import credentials
from slashetc.join.credentials import Person
from slashetc.join.founding import Say
from slashetc.join.own_requests import utc_now
from slashetc.store.cluster_api import ClusterApi

NEXT = "next"
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Rotation:
    """The authority's directory, and how long to wait for the hosts."""

    directory: Path
    wait_s: float

    @property
    def coming(self) -> Path:
        """The directory of the authority that is not in use yet."""
        return self.directory / NEXT


def rotate(rotation: Rotation, store: Store, api: ClusterApi, say: Say) -> None:
    """Rotate. Raises CheckFailed, NoAuthority, StoreError."""
    key_store.finish_promotion(rotation.directory, rotation.coming)
    old = key_store.load(rotation.directory)
    is_begun = key_store.exists(rotation.coming)
    if not is_begun and len(_records(store).authorities()) > 1:
        if _records(store).authorities()[0] == old.certificate:
            _renew(rotation, store, old, say)
            return
        raise CheckFailed(
            "the fleet trusts an authority that is not in this directory: a rotation was begun "
            "with another copy of it; go on there"
        )
    if not is_begun:
        key_store.create(rotation.coming, old.fleet, utc_now())
    new = key_store.load(rotation.coming)
    cross = certificates.cross_certificate(old, new.certificate, x509.random_serial_number())
    store.put(keys.AUTHORITY, _bundle(old.certificate, new.certificate, cross))
    say(f"new authority: {certificates.fingerprint(new.certificate)[:16]}; hosts trust both")
    wanted = certificates.fingerprint(new.certificate)
    _wait(rotation, store, lambda each: wanted in each.trusts, "do not trust the new authority yet")
    _sign_signers(store, old, new, utc_now())
    key_store.promote(rotation.directory, rotation.coming)
    _certify_ourselves(store, api, old, new)
    # The agent reads the key when it starts.
    units.systemctl("try-restart", "slashetc-agent.service", check=False)
    # The first in the bundle signs.
    store.put(keys.AUTHORITY, _bundle(new.certificate, old.certificate, cross))
    say("the new authority signs; hosts renew their certificates")
    _renew(rotation, store, new, say)


def _renew(rotation: Rotation, store: Store, new: Authority, say: Say) -> None:
    """Wait until all hosts have renewed, and end the rotation if nobody else is left."""
    wanted = certificates.fingerprint(new.certificate)
    _wait(rotation, store, lambda each: each.issuer == wanted, "have not renewed yet")
    left = behind(store, new.certificate)
    say("all hosts have certificates of the new authority")
    if left:
        say(
            f"{', '.join(left)}: certificates of the old authority, which is trusted still: give "
            "them new ones by `slashetc user add`, then `slashetc authority rotate --finish`"
        )
    else:
        finish(rotation.directory, store, say)


def finish(directory: Path, store: Store, say: Say) -> None:
    """Let no host trust the old authority any more. Raises CheckFailed, StoreError."""
    own = key_store.load(directory).certificate
    fingerprint = certificates.fingerprint(own)
    late = [each.host for each in hosts(store) if each.issuer != fingerprint]
    if late:
        raise CheckFailed(
            f"{', '.join(late)} has a certificate of the old authority: see `journalctl -u "
            "slashetc-agent` there, or evict it"
        )
    store.put(keys.AUTHORITY, certificates.pem_of(own))
    say("only the new authority is trusted")


def behind(store: Store, own: x509.Certificate) -> list[str]:
    """Return the people whose certificates are of another authority."""
    listed = store.list(keys.PREFIX).entries
    found: list[str] = []
    for each in listed:
        if each.key.startswith(f"{keys.USERS}/"):
            record = msgspec.json.decode(each.value, type=UserRecord)
            if record.authority != own.subject.rfc4514_string():
                found.append(each.key.rpartition("/")[2])
    return sorted(found)


def _bundle(*listed: x509.Certificate) -> str:
    return "".join(map(certificates.pem_of, listed))


def _wait(
    rotation: Rotation, store: Store, holds: Callable[[HostRecord], bool], problem: str
) -> None:
    end_s = time.monotonic() + rotation.wait_s
    while late := [each.host for each in hosts(store) if not holds(each)]:
        if time.monotonic() > end_s:
            raise CheckFailed(
                f"{', '.join(sorted(late))} {problem}: start the agent there, or `slashetc evict` "
                "what is gone; then run this again"
            )
        time.sleep(LOOK_S)


def _sign_signers(store: Store, old: Authority, new: Authority, now: dt.datetime) -> None:
    """Issue new certificates for the signing keys, so that what they signed stays signed."""
    known = _records(store)
    for name, pem in known.signers.items():
        eviction = known.evicted_users.get(name)
        key = trust.signer_key(name, pem, (old.certificate,), eviction)
        if key is None:
            continue  # it is new already, or it is none of ours
        who = Identity(new.fleet, "signer", name)
        role = certificates.role_of(x509.load_pem_x509_certificate(pem.encode()))
        valid = new_keys.issued(now, certificates.lifetime_of(who))
        issued = certificates.issue(new, Subject(who, role=role), key, valid)
        store.put(keys.signer(name), certificates.pem_of(issued))


def _certify_ourselves(store: Store, api: ClusterApi, old: Authority, new: Authority) -> None:
    """Issue new certificates for the person whose credentials are here, if there are any."""
    directory = credentials.own_directory()
    try:
        (own,) = certificates.bundle((directory / "user.pem").read_text())
    except (OSError, ValueError):
        return
    who = certificates.verified(own, (old.certificate,), utc_now())
    if who is None or who.kind != "user":
        return
    person = Person(who.name, certificates.role_of(own))
    owner = directory.owner()
    credentials.make(directory, owner, person, new, utc_now())
    credentials.register(store, api, directory, person)
    write(directory / "ca.pem", _bundle(new.certificate, old.certificate), owner=owner)


def hosts(store: Store) -> list[HostRecord]:
    """Return what the admitted hosts say of themselves; one that says nothing has empty words."""
    listed = {each.key: each.value for each in store.list(keys.PREFIX).entries}
    found: list[HostRecord] = []
    for machine, admitted in records.parse(listed).hosts.items():
        text = listed.get(keys.host(machine))
        said = HostRecord(host=admitted.host)
        if text is not None:
            said = msgspec.json.decode(text, type=HostRecord)
        found.append(said)
    return found


def _records(store: Store) -> Records:
    return records.parse({each.key: each.value for each in store.list(keys.PREFIX).entries})
