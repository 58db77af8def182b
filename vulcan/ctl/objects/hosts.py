"""`vctl host`: host names with their key pairs."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import ObjectKind
from vulcan.ctl.objects.object_commands import (
    list_objects,
    remove_object,
    show_object,
    upsert_object,
)

app = options.program("Host names with their certificates.")

Name = Annotated[str, typer.Option("--name", help="The host's name.")]


@app.command("ls")
def list_hosts(context: typer.Context) -> None:
    """List the hosts."""
    list_objects(context, ObjectKind.HOST)


@app.command("show")
def show_host(context: typer.Context, *, name: Name) -> None:
    """Print a host, without its key pair."""
    show_object(context, ObjectKind.HOST, name)


@app.command("rm")
def remove_host(context: typer.Context, *, name: Name) -> None:
    """Remove a host."""
    remove_object(context, ObjectKind.HOST, name)


@app.command("upsert")
def upsert_host(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    name: Name,
    cert: Annotated[Path | None, typer.Option("--cert", help="Certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option("--privateKey", help="Private key, PEM.")] = None,
    default: Annotated[
        bool,
        typer.Option("--default", help="Use this certificate when no host has the requested name."),
    ] = False,
    ocsp: Annotated[
        bool, typer.Option("--ocsp", help="Stored, but has no effect: OCSP is not supported.")
    ] = False,
    ocsp_skip_check: Annotated[bool, typer.Option("--ocspSkipCheck", help="Like --ocsp.")] = False,
    ocsp_period: Annotated[str, typer.Option("--ocspPeriod", help="Like --ocsp.")] = "1h",
    ocsp_responder: Annotated[
        list[str] | None, typer.Option("--ocspResponder", help="Like --ocsp. Repeatable.")
    ] = None,
) -> None:
    """Write a host. vulcand seals the key pair before it stores it."""
    settings: dict[str, Any] = {"Default": default}
    if pair := _read_key_pair(cert, key):
        settings["KeyPair"] = pair
    if ocsp:
        settings["OCSP"] = {
            "Enabled": True,
            "Period": ocsp_period,
            "Responders": ocsp_responder or [],
            "SkipSignatureCheck": ocsp_skip_check,
        }
    upsert_object(context, ObjectKind.HOST, {"Name": name, "Settings": settings})


def _read_key_pair(cert: Path | None, key: Path | None) -> dict[str, str] | None:
    """Read a key pair into the unsealed form that the API takes. Raises Failure."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise Failure("use --cert and --privateKey together", EXIT_USAGE)
    try:
        return {
            "Cert": base64.b64encode(cert.read_bytes()).decode(),
            "Key": base64.b64encode(key.read_bytes()).decode(),
        }
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", EXIT_USAGE) from None
