"""`vctl backend`: groups of servers."""

from typing import Annotated

import typer

from daemonkit import options
from vulcan.core.keys import ObjectKind
from vulcan.ctl.objects import tls_flags
from vulcan.ctl.objects.object_commands import (
    Id,
    list_objects,
    remove_object,
    show_object,
    upsert_object,
)

app = options.program("Groups of servers.")


@app.command("ls")
def list_backends(context: typer.Context) -> None:
    """List the backends."""
    list_objects(context, ObjectKind.BACKEND)


@app.command("show")
def show_backend(context: typer.Context, *, id_: Id) -> None:
    """Print a backend."""
    show_object(context, ObjectKind.BACKEND, id_)


@app.command("rm")
def remove_backend(context: typer.Context, *, id_: Id) -> None:
    """Remove a backend and its servers, unless a frontend uses it."""
    remove_object(context, ObjectKind.BACKEND, id_)


@app.command("upsert")
def upsert_backend(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    id_: Id,
    read: Annotated[
        str, typer.Option("--readTimeout", help="Time limit for the head of a response.")
    ] = "",
    dial: Annotated[
        str, typer.Option("--dialTimeout", help="Time limit for a new connection.")
    ] = "",
    handshake: Annotated[
        str, typer.Option("--handshakeTimeout", help="Time limit for a TLS handshake.")
    ] = "",
    keep_alive: Annotated[
        str, typer.Option("--keepAlivePeriod", help="Time between TCP keep-alive probes.")
    ] = "",
    max_idle: Annotated[
        int,
        typer.Option(
            "--maxIdleConns",
            min=0,
            help="Idle connections to keep for each server; 0 means the default.",
        ),
    ] = 0,
    balance: Annotated[
        str, typer.Option("--balance", help="Load balancing: rr, p2c or leastconn.")
    ] = "",
    skip_verify: tls_flags.SkipVerify = False,
    prefer_server: tls_flags.PreferServer = False,
    no_tickets: tls_flags.NoTickets = False,
    min_version: tls_flags.MinVersion = "",
    max_version: tls_flags.MaxVersion = "",
    cache: tls_flags.Cache = "",
    capacity: tls_flags.CacheCapacity = 0,
    ciphers: tls_flags.Ciphers = None,
) -> None:
    """Write a backend."""
    tls = tls_flags.tls(
        skip_verify=skip_verify,
        prefer_server=prefer_server,
        no_tickets=no_tickets,
        versions=(min_version, max_version),
        cache=(cache, capacity),
        ciphers=ciphers,
    )
    settings = {
        "Timeouts": {"Read": read, "Dial": dial, "TLSHandshake": handshake},
        "KeepAlive": {"Period": keep_alive, "MaxIdleConnsPerHost": max_idle},
        **({"TLS": tls} if tls else {}),
        **({"Balance": balance} if balance else {}),
    }
    document = {"Id": id_, "Type": "http", "Settings": settings}
    upsert_object(context, ObjectKind.BACKEND, document)
