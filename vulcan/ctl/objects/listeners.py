"""`vctl listener`: sockets that accept requests."""

from typing import Annotated, Any

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

app = options.program("Sockets that accept requests.")


@app.command("ls")
def list_listeners(context: typer.Context) -> None:
    """List the listeners."""
    list_objects(context, ObjectKind.LISTENER)


@app.command("show")
def show_listener(context: typer.Context, *, id_: Id) -> None:
    """Print a listener."""
    show_object(context, ObjectKind.LISTENER, id_)


@app.command("rm")
def remove_listener(context: typer.Context, *, id_: Id) -> None:
    """Close a listener. Its requests in flight finish."""
    remove_object(context, ObjectKind.LISTENER, id_)


@app.command("upsert")
def upsert_listener(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    id_: Id,
    proto: Annotated[str, typer.Option("--proto", help="http or https.")] = "http",
    net: Annotated[str, typer.Option("--net", help="tcp or unix.")] = "tcp",
    addr: Annotated[str, typer.Option("--addr", help="HOST:PORT, or the path of a socket.")],
    scope: Annotated[
        str, typer.Option("--scope", help="Accept only requests that match this route.")
    ] = "",
    proxy_header: Annotated[
        str, typer.Option("--proxy-header", help="Must be none: PROXY protocol is not supported.")
    ] = "none",
    skip_verify: tls_flags.SkipVerify = False,
    prefer_server: tls_flags.PreferServer = False,
    no_tickets: tls_flags.NoTickets = False,
    min_version: tls_flags.MinVersion = "",
    max_version: tls_flags.MaxVersion = "",
    cache: tls_flags.Cache = "",
    capacity: tls_flags.CacheCapacity = 0,
    ciphers: tls_flags.Ciphers = None,
) -> None:
    """Write a listener."""
    tls = tls_flags.tls(
        skip_verify=skip_verify,
        prefer_server=prefer_server,
        no_tickets=no_tickets,
        versions=(min_version, max_version),
        cache=(cache, capacity),
        ciphers=ciphers,
    )
    document: dict[str, Any] = {
        "Id": id_,
        "Protocol": proto,
        "Address": {"Network": net, "Address": addr},
        "Scope": scope,
        "ProxyProtocol": "" if proxy_header.lower() == "none" else proxy_header,
    }
    if tls:
        document["Settings"] = {"TLS": tls}
    upsert_object(context, ObjectKind.LISTENER, document)
