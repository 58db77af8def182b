"""Writes what this host trusts and refuses, as the fleet's records say, once they are checked."""

from pathlib import Path

from cryptography import x509

from daemonkit.core.identity import NAME
from daemonkit.observe import logs
from slashetc.core import certificates, key_pem, trust
from slashetc.core.records import Records
from slashetc.host.places import Places, write

_log = logs.get("trust")


def trusted_authorities(places: Places) -> tuple[x509.Certificate, ...]:
    """Return the authorities that this host trusts."""
    return certificates.bundle(places.ca.read_text())


def update(places: Places, found: Records) -> None:
    """Bring ca.pem, revoked.json and the trusted keys up to date."""
    if found.fleet is None:
        return  # the store has lost our records: the last good files stay
    write(places.revoked, trust.revoked_file(found.evictions))
    known = trusted_authorities(places)
    trusted = trust.next_authorities(known, found.authorities())
    if trusted != known:
        _log.warning(
            "authorities-changed",
            was=[certificates.fingerprint(each)[:12] for each in known],
            now=[certificates.fingerprint(each)[:12] for each in trusted],
        )
        write(places.ca, "".join(map(certificates.pem_of, trusted)))
    _update_signers(places.trusted_keys, found, trusted)


def _update_signers(directory: Path, found: Records, trusted: tuple[x509.Certificate, ...]) -> None:
    wanted: dict[str, str] = {}
    for name, pem in found.signers.items():
        if not NAME.fullmatch(name):
            continue
        key = trust.signer_key(name, pem, trusted, found.evicted_users.get(name))
        if key is not None:
            wanted[f"{name}.pem"] = key_pem.public_pem(key)
        elif name not in found.evicted_users:
            _log.warning(
                "signer-not-trusted",
                name=name,
                why="the authority has not issued this certificate for a signer of this name",
            )
    for file, text in wanted.items():
        if write(directory / file, text):
            _log.info("signer-trusted", file=file)
    for path in directory.glob("*.pem"):
        if path.name not in wanted:
            path.unlink(missing_ok=True)
            _log.warning("signer-removed", file=path.name)
