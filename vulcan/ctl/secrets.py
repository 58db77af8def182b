"""`vctl secret`: seal keys and sealed key pairs. These commands need no running vulcand."""

import os
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure

app = options.program("Make seal keys, and seal key pairs.")
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="File to write; the default is standard output."),
]


@app.command("new_key")
def print_new_key(*, file: File = None) -> None:
    """Make a new seal key."""
    _write(new_key(), file)


@app.command("seal_keypair")
def seal_keypair(
    *,
    seal_key: Annotated[str, typer.Option("--sealKey", help="The seal key, 64 hex digits.")],
    cert: Annotated[Path, typer.Option("--cert", help="Certificate chain, PEM.")],
    key: Annotated[Path, typer.Option("--privateKey", help="Private key, PEM.")],
    file: File = None,
) -> None:
    """Seal a key pair for the `Settings.KeyPair` of a host."""
    from vulcan.core.config import certificates
    from vulcan.core.config.secretbox import (
        NONCE_BYTES,
        KeyPair,
        SealError,
        SealKeys,
        parse_key,
    )

    try:
        pair = KeyPair(key.read_bytes(), cert.read_bytes())
        certificates.inspect(pair)
        sealed = SealKeys((parse_key(seal_key),)).seal(pair, os.urandom(NONCE_BYTES))
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", EXIT_USAGE) from None
    except (SealError, certificates.CertificateError) as error:
        raise Failure(str(error), EXIT_USAGE) from None
    _write(sealed.decode(), file)


def new_key() -> str:
    """Return a new seal key."""
    return os.urandom(32).hex()


def _write(text: str, file: Path | None) -> None:
    if file is None:
        typer.echo(text)
        return
    try:
        # A seal key opens every key pair, so only its owner may read the file.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
