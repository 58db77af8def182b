"""A fleet's authority for tests: it writes certificates of all kinds into a directory.

authority = FleetAuthority(tmp_path)
host = authority.host("web3")                   # web3.pem, web3.key
member = authority.member("h1", "10.77.0.1")
alice, signer = authority.user("alice"), authority.signer("alice")
connect(urls, tls=Tls(str(authority.ca_file), str(alice.cert), str(alice.key)))
"""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

from daemonkit.core.identity import Identity, Kind
from slashetc.authority import new_keys
from slashetc.core import certificates, key_pem, tokens
from slashetc.core.certificates import Subject, Validity
from slashetc.core.tokens import Payload

LIFETIME = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate and its key, and whom it is for."""

    cert: Path
    key: Path
    identity: Identity


class FleetAuthority:
    """An authority with its key; files of one identity are named by its user, without colons."""

    def __init__(self, directory: Path, fleet: str = "test") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.fleet = directory, fleet
        self.authority = new_keys.authority(fleet, dt.datetime.now(dt.UTC))
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_text(certificates.pem_of(self.authority.certificate))
        self.revoked_file = directory / "revoked.json"
        self.revoke()

    def host(
        self, name: str, *names: str, daemon: str = "", age: dt.timedelta | None = None
    ) -> Pair:
        """Return the pair of a host, or of one of its daemons. `names` are further addresses."""
        return self.pair("host", name, *names, daemon=daemon, age=age)

    def member(self, name: str, *names: str, age: dt.timedelta | None = None) -> Pair:
        """Return the pair of a member of the store."""
        return self.pair("member", name, *names, age=age)

    def user(self, name: str, role: str = "operator", *, age: dt.timedelta | None = None) -> Pair:
        """Return the pair of a person."""
        return self.pair("user", name, role=role, age=age)

    def signer(self, name: str, role: str = "operator") -> Pair:
        """Return the pair of a key that signs orders. Its public key is written as NAME.pub."""
        pair = self.pair("signer", name, role=role)
        public = key_pem.signer_key(pair.key.read_text()).public_key()
        pair.cert.with_suffix(".pub").write_text(key_pem.public_pem(public))
        return pair

    def pair(
        self,
        kind: Kind,
        name: str,
        *names: str,
        daemon: str = "",
        role: str = "",
        age: dt.timedelta | None = None,
    ) -> Pair:
        """Write a certificate and its key. One with an age was issued so long ago."""
        who = Identity(self.fleet, kind, name, daemon)
        key = new_keys.signer_key() if kind == "signer" else new_keys.tls_key()
        valid = self._validity(age)
        subject = Subject(who, names, role)
        certificate = certificates.issue(self.authority, subject, key.public_key(), valid)
        stem = who.user.replace(":", "-") if kind != "user" else f"user-{name}"
        pair = Pair(self.directory / f"{stem}.pem", self.directory / f"{stem}.key", who)
        pair.key.touch(mode=0o600)
        pair.key.write_text(key_pem.private_pem(key))
        pair.cert.write_text(certificates.pem_of(certificate))
        return pair

    def revoke(self, *names: str, user: bool = False) -> None:
        """Write the file of the refused: the certificates of these names from before now."""
        now = dt.datetime.now(dt.UTC).timestamp()
        listed = [{"name": name, "before": now, "user": user} for name in names]
        text = json.dumps({"identities": listed})
        beside = self.revoked_file.with_suffix(".new")
        beside.write_text(text)
        beside.rename(self.revoked_file)

    def token(
        self, host: str, signer: Pair, *, ttl_s: float = 3600, member: bool | None = None
    ) -> str:
        """Return a join token that a signer has made."""
        now = dt.datetime.now(dt.UTC).timestamp()
        payload = Payload(
            id=f"{now:.6f}",
            host=host,
            fleet=self.fleet,
            ca=certificates.fingerprint(self.authority.certificate),
            issued=now,
            expires=now + ttl_s,
            signer=signer.identity.name,
            member=member,
        )
        return tokens.make(payload, key_pem.signer_key(signer.key.read_text()))

    @staticmethod
    def _validity(age: dt.timedelta | None) -> Validity:
        now = dt.datetime.now(dt.UTC)
        return new_keys.issued(now - (age or dt.timedelta()), LIFETIME)
