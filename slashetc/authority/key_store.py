"""The authority's directory: its key, encrypted; its certificates; the tokens that were used.

The passphrase of the key is beside it, sealed by systemd-creds(1) for this host: with the TPM, or a
secret below /var/lib/systemd. So a copy of the directory, such as a backup, is no authority. Where
that does not work the passphrase is a file that only root can read.
"""

import datetime as dt
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from daemonkit.host import atomic_file
from daemonkit.observe import logs
from slashetc.authority import new_keys
from slashetc.core import certificates, key_pem
from slashetc.core.certificates import Authority

SEALED_NAME = "slashetc.authority"
SEAL_S = 60.0
# Used tokens that are kept; those that expired are refused without it.
USED_MAX = 10_000
_log = logs.get("authority")


class NoAuthority(Exception):  # noqa: N818 - a fact about this host
    """The directory has no key that can be used; the message says why, and what to do."""


class Use(msgspec.Struct, frozen=True):
    """A token that was used: the key of its host, and when the token expires."""

    key: str
    expires: float


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of an authority's directory."""

    directory: Path

    @property
    def key(self) -> Path:
        """The key, encrypted."""
        return self.directory / "ca.key"

    @property
    def certificate(self) -> Path:
        """The certificate of the key."""
        return self.directory / "ca.pem"

    @property
    def sealed(self) -> Path:
        """The passphrase, for this host only."""
        return self.directory / "passphrase.sealed"

    @property
    def plain(self) -> Path:
        """The passphrase, where it cannot be sealed."""
        return self.directory / "passphrase"

    @property
    def used(self) -> Path:
        """The tokens that were used."""
        return self.directory / "used.json"


def exists(directory: Path) -> bool:
    """Return whether there is an authority."""
    return Paths(directory).key.exists()


def create(directory: Path, fleet: str, now: dt.datetime, *, seal: bool = True) -> Authority:
    """Make a new authority of a fleet. A directory without a key is made whole."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = new_keys.authority(fleet, now)
    save(directory, made, seal=seal)
    return made


def save(directory: Path, authority: Authority, *, seal: bool = True) -> None:
    """Write a key and its certificate; the key comes last, it makes the directory valid.

    Without `seal` another host can use it, too: for a directory that is taken away.
    """
    paths = Paths(directory)
    passphrase = secrets.token_urlsafe(32).encode()
    _keep(paths, passphrase, seal=seal)
    atomic_file.write(paths.certificate, certificates.pem_of(authority.certificate).encode())
    atomic_file.write(paths.key, key_pem.private_pem(authority.key, passphrase).encode())


def promote(directory: Path, coming: Path) -> None:
    """Put the authority of one directory into the place of that in another.

    The directory has no key meanwhile; `finish_promotion` goes on after a crash.
    """
    retired = Paths(directory).key.with_suffix(".old")
    Paths(directory).key.rename(retired)
    finish_promotion(directory, coming)


def finish_promotion(directory: Path, coming: Path) -> None:
    """Do what is left of a promotion, if one was begun."""
    retired = Paths(directory).key.with_suffix(".old")
    if not retired.exists():
        return
    own, new = Paths(directory), Paths(coming)
    if new.sealed.exists() or new.plain.exists():
        own.sealed.unlink(missing_ok=True)
        own.plain.unlink(missing_ok=True)
    for path in (new.sealed, new.plain, new.certificate, new.key):
        if path.exists():
            path.rename(directory / path.name)
    atomic_file.sync_directory(directory)
    retired.unlink()
    if coming.exists():
        coming.rmdir()


def load(directory: Path) -> Authority:
    """Read the key. Raises NoAuthority."""
    paths = Paths(directory)
    try:
        key = key_pem.tls_key(paths.key.read_text(), _passphrase(paths))
        (certificate,) = certificates.bundle(paths.certificate.read_text())
    except OSError as error:
        raise NoAuthority(
            f"{error.filename}: {error.strerror}: the authority's key is on another host, or "
            "offline: run this there"
        ) from None
    except ValueError as error:
        raise NoAuthority(
            f"{paths.key}: {error}: restore the directory from a backup, with {paths.sealed.name}"
        ) from None
    if certificate.public_key() != key.public_key():
        raise NoAuthority(
            f"{paths.certificate} is not the certificate of {paths.key}: restore both"
        )
    return Authority(certificate, key)


def read_used(directory: Path) -> dict[str, Use]:
    """Return the tokens that were used. Raises NoAuthority."""
    path = Paths(directory).used
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Use])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise NoAuthority(
            f"{path}: {error}: without this list a token can be used twice: restore the file, or "
            "remove it when all tokens have expired"
        ) from None


def write_used(directory: Path, used: dict[str, Use], now: float) -> None:
    """Keep the tokens that were used, but not those that have expired."""
    kept = {name: use for name, use in used.items() if use.expires > now}
    newest = dict(sorted(kept.items(), key=lambda item: item[1].expires)[-USED_MAX:])
    atomic_file.write(Paths(directory).used, msgspec.json.encode(newest))


def _keep(paths: Paths, passphrase: bytes, *, seal: bool) -> None:
    if seal and (sealed := _sealed(passphrase)) is not None:
        atomic_file.write(paths.sealed, sealed)
        paths.plain.unlink(missing_ok=True)
        return
    atomic_file.write(paths.plain, passphrase)
    paths.sealed.unlink(missing_ok=True)
    if seal:
        _log.warning(
            "passphrase-not-sealed",
            file=str(paths.plain),
            risk="who can read this directory, or a backup of it, has the authority",
            remedy="run the authority where `systemd-creds setup` works",
        )


def _passphrase(paths: Paths) -> bytes:
    if not paths.sealed.exists():
        return paths.plain.read_bytes()
    done = _systemd_creds("decrypt", paths.sealed.read_bytes())
    if done is None:
        raise ValueError("systemd-creds cannot open the passphrase: it was sealed by another host")
    return done


def _sealed(passphrase: bytes) -> bytes | None:
    sealed = _systemd_creds("encrypt", passphrase)
    # A seal that cannot be broken here would lose the key.
    return sealed if sealed and _systemd_creds("decrypt", sealed) == passphrase else None


def _systemd_creds(verb: str, data: bytes) -> bytes | None:
    if os.geteuid():
        return None
    command = ["systemd-creds", verb, f"--name={SEALED_NAME}", "-", "-"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=SEAL_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
