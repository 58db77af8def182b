"""`vctl server`: the servers of a backend."""

from typing import Annotated

import typer

from daemonkit import options
from vulcan.core.keys import ObjectKind
from vulcan.ctl.objects.object_commands import (
    BackendId,
    Id,
    Ttl,
    list_objects,
    remove_object,
    show_object,
    upsert_object,
)

app = options.program("The servers of a backend.")


@app.command("ls")
def list_servers(context: typer.Context, *, backend: BackendId) -> None:
    """List a backend's servers."""
    list_objects(context, ObjectKind.SERVER, backend)


@app.command("show")
def show_server(context: typer.Context, *, backend: BackendId, id_: Id) -> None:
    """Print a server."""
    show_object(context, ObjectKind.SERVER, id_, backend)


@app.command("rm")
def remove_server(context: typer.Context, *, backend: BackendId, id_: Id) -> None:
    """Remove a server. Its requests in flight finish."""
    remove_object(context, ObjectKind.SERVER, id_, backend)


@app.command("upsert")
def upsert_server(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    backend: BackendId,
    id_: Id,
    url: Annotated[str, typer.Option("--url", help="http://HOST:PORT or https://HOST:PORT.")],
    weight: Annotated[
        int, typer.Option("--weight", min=0, help="Share of the requests; 0 drains the server.")
    ] = 1,
    ttl: Ttl = "",
) -> None:
    """Write a server."""
    document = {"Id": id_, "URL": url, **({"Weight": weight} if weight != 1 else {})}
    upsert_object(context, ObjectKind.SERVER, document, backend, ttl)
