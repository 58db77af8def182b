"""`vctl frontend`: routes to backends."""

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

app = options.program("Routes to backends.")


@app.command("ls")
def list_frontends(context: typer.Context) -> None:
    """List the frontends."""
    list_objects(context, ObjectKind.FRONTEND)


@app.command("show")
def show_frontend(context: typer.Context, *, id_: Id) -> None:
    """Print a frontend."""
    show_object(context, ObjectKind.FRONTEND, id_)


@app.command("rm")
def remove_frontend(context: typer.Context, *, id_: Id) -> None:
    """Remove a frontend and its middlewares."""
    remove_object(context, ObjectKind.FRONTEND, id_)


@app.command("upsert")
def upsert_frontend(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    id_: Id,
    backend: BackendId,
    route: Annotated[str, typer.Option("--route", help="Route: which requests the frontend gets.")],
    ttl: Ttl = "",
    mem_body_kb: Annotated[
        int,
        typer.Option(
            "--maxMemBodyKB",
            min=0,
            help="Largest body to keep for a second attempt, in KiB; 0 means the default.",
        ),
    ] = 0,
    body_kb: Annotated[
        int,
        typer.Option(
            "--maxBodyKB", min=0, help="Largest body to accept, in KiB; 0 means no limit."
        ),
    ] = 0,
    failover: Annotated[
        str, typer.Option("--failoverPredicate", help="When to send a request to another server.")
    ] = "",
    hostname: Annotated[
        str, typer.Option("--forwardHost", help="Value of the X-Forwarded-Server field.")
    ] = "",
    trust: Annotated[
        bool,
        typer.Option("--trustForwardHeader", help="Keep the X-Forwarded fields of the client."),
    ] = False,
    pass_host: Annotated[
        bool, typer.Option("--passHostHeader", help="Pass the client's Host to the server.")
    ] = False,
    priority: Annotated[
        int, typer.Option("--priority", help="Frontends with a larger number go first.")
    ] = 0,
) -> None:
    """Write a frontend."""
    settings = {
        "Limits": {"MaxMemBodyBytes": mem_body_kb * 1024, "MaxBodyBytes": body_kb * 1024},
        "FailoverPredicate": failover,
        "Hostname": hostname,
        "TrustForwardHeader": trust,
        "PassHostHeader": pass_host,
        **({"Priority": priority} if priority else {}),
    }
    document = {
        "Id": id_,
        "Type": "http",
        "BackendId": backend,
        "Route": route,
        "Settings": settings,
    }
    upsert_object(context, ObjectKind.FRONTEND, document, "", ttl)
