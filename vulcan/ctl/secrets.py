"""`vctl secret`: keys that seal, and sealed key pairs; no vulcand is asked."""

import os
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure

secret = options.program("Seal keys and sealed key pairs.")
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="Written there, not to standard output.")
]


@secret.command("new_key")
def new_key(*, file: File = None) -> None:
    """Make a new seal key."""
    _out(made_key(), file)


@secret.command("seal_keypair")
def seal_keypair(
    *,
    seal_key: Annotated[str, typer.Option("--sealKey", help="The key, 64 hex digits.")],
    cert: Annotated[Path, typer.Option("--cert", help="Certificate chain, PEM.")],
    key: Annotated[Path, typer.Option("--privateKey", help="Its key, PEM.")],
    file: File = None,
) -> None:
    """Seal a key pair, as `Settings.KeyPair` of a host has it."""
    from vulcan.core.config import certificates
    from vulcan.core.config.secretbox import NONCE_BYTES, KeyPair, SealError, SealKeys, parse_key

    try:
        pair = KeyPair(key.read_bytes(), cert.read_bytes())
        certificates.inspect(pair)
        sealed = SealKeys((parse_key(seal_key),)).seal(pair, os.urandom(NONCE_BYTES))
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", EXIT_USAGE) from None
    except (SealError, certificates.CertificateError) as error:
        raise Failure(str(error), EXIT_USAGE) from None
    _out(sealed.decode(), file)


def made_key() -> str:
    """Return a new seal key."""
    return os.urandom(32).hex()


def _out(text: str, file: Path | None) -> None:
    if file is None:
        typer.echo(text)
        return
    try:
        # Whoever reads it opens every key pair.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
