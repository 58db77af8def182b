"""The console script `vctl`: its commands, its global options, and the verbs for all kinds."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import ObjectKind
from vulcan.ctl import log_level, revisions, secrets, traffic
from vulcan.ctl.api_client import ApiClient
from vulcan.ctl.go_flags import global_options_first
from vulcan.ctl.objects import backends, frontends, hosts, listeners, middlewares, servers
from vulcan.ctl.objects.object_commands import (
    Ttl,
    list_objects,
    parse_json,
    remove_object,
    show_object,
    upsert_object,
)
from vulcan.ctl.status import status

KINDS = {kind.title.lower(): kind for kind in ObjectKind}

ctl = options.program("Show and change the configuration of vulcand.")

KindName = Annotated[
    str, typer.Argument(help="host, listener, backend, server, frontend or middleware.")
]
AnyId = Annotated[str, typer.Option("--id", "--name", help="The object's id, or a host's name.")]
Parent = Annotated[
    str,
    typer.Option("--in", "-b", "-f", help="The backend of a server, the frontend of a middleware."),
]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", help="CA certificates that verify vulcand's certificate."),
]
CertFile = Annotated[
    Path | None, typer.Option("--cert-file", help="Your certificate, for vulcand and the store.")
]
Endpoints = Annotated[
    str,
    typer.Option(
        "--endpoints",
        metavar="URL,URL",
        help="Client URLs of the store. If it has users, vctl gets a token of yours from it, and "
        "vulcand writes your changes with that.",
    ),
]
Prefix = Annotated[str, typer.Option("--prefix", metavar="PATH", help="The --prefix of vulcand.")]


@ctl.callback()
def _global_options(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    vulcan: Annotated[
        str, typer.Option("--vulcan", metavar="URL", help="URL of vulcand's API.")
    ] = "http://127.0.0.1:8182",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the API's token.")
    ] = None,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: options.KeyFile = None,
    endpoints: Endpoints = "",
    prefix: Prefix = "vulcand",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the API's responses as JSON.")
    ] = False,
) -> None:
    files = ca_file, cert_file, key_file
    context.obj = ApiClient(vulcan, token_file, as_json, files, endpoints, prefix)


@ctl.command("ls")
def list_any(context: typer.Context, kind: KindName, *, parent: Parent = "") -> None:
    """List objects of any kind."""
    list_objects(context, _kind(kind), parent)


@ctl.command("show")
def show_any(context: typer.Context, kind: KindName, *, id_: AnyId, parent: Parent = "") -> None:
    """Print one object of any kind as JSON."""
    show_object(context, _kind(kind), id_, parent)


@ctl.command("upsert")
def upsert_any(
    context: typer.Context,
    kind: KindName,
    document: Annotated[str, typer.Argument(help="The object's JSON, or - for standard input.")],
    *,
    parent: Parent = "",
    ttl: Ttl = "",
) -> None:
    """Write one object of any kind from its JSON."""
    parsed = parse_json(sys.stdin.read() if document == "-" else document)
    upsert_object(context, _kind(kind), parsed, parent, ttl)


@ctl.command("rm")
def remove_any(context: typer.Context, kind: KindName, *, id_: AnyId, parent: Parent = "") -> None:
    """Remove one object of any kind, with everything below it."""
    remove_object(context, _kind(kind), id_, parent)


ctl.command("apply")(revisions.apply)
ctl.command("rollback")(revisions.rollback)
ctl.command("history")(revisions.history)
ctl.command("explain")(traffic.explain)
ctl.command("top")(traffic.top)
ctl.command("status")(status)


@ctl.command("new-key")
def new_key() -> None:
    """Print a new seal key, like `secret new_key`."""
    typer.echo(secrets.new_key())


ctl.add_typer(hosts.app, name="host")
ctl.add_typer(listeners.app, name="listener")
ctl.add_typer(backends.app, name="backend")
ctl.add_typer(servers.app, name="server")
ctl.add_typer(frontends.app, name="frontend")
for _type, _app in middlewares.TYPES.items():
    ctl.add_typer(_app, name=_type)
ctl.add_typer(log_level.app, name="log")
ctl.add_typer(secrets.app, name="secret")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the console script."""
    options.run(ctl, "vctl", global_options_first(sys.argv[1:] if arguments is None else arguments))


def _kind(name: str) -> ObjectKind:
    kind = KINDS.get(name)
    if kind is None:
        raise Failure(f"{name!r} is not one of {', '.join(KINDS)}", EXIT_USAGE)
    return kind
