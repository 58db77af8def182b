"""The command line of `coordctl`. Commands, options and outputs are those of etcdctl's v2 API."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from coordinator.ctl.codes import BAD_ARGUMENTS, give_up
from coordinator.ctl.spelling import Launcher, Program, Verb, duration_s
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.ctl.session import Session

PROG = "coordctl"
ENDPOINTS = "http://127.0.0.1:2379,http://127.0.0.1:4001"


def _variables(name: str) -> list[str]:
    return [f"COORDCTL_{name}", f"ETCDCTL_{name}"]


Endpoints = Annotated[
    str,
    typer.Option(
        "--endpoints",
        metavar="URL,URL",
        envvar=_variables("ENDPOINTS"),
        help=f"Client URLs of the cluster. [{ENDPOINTS}]",
    ),
]
Endpoint = Annotated[
    str,
    typer.Option("--endpoint", hidden=True, envvar=_variables("ENDPOINT"), help="--endpoints."),
]
Peers = Annotated[
    str,
    typer.Option("--peers", "-C", hidden=True, envvar=_variables("PEERS"), help="--endpoints."),
]
CertFile = Annotated[
    str, typer.Option(envvar=_variables("CERT_FILE"), help="Certificate to show the server.")
]
KeyFile = Annotated[str, typer.Option(envvar=_variables("KEY_FILE"), help="Key of --cert-file.")]
CaFile = Annotated[
    str, typer.Option(envvar=_variables("CA_FILE"), help="CA that the server's is checked by.")
]
Username = Annotated[
    str,
    typer.Option(
        "--username",
        "-u",
        metavar="NAME[:PASSWORD]",
        envvar=_variables("USERNAME"),
        help="Who asks; a password that is not given is asked for.",
    ),
]
Timeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long one server may take to answer.")
]
TotalTimeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long a command may take, watches excepted.")
]
NoSync = Annotated[
    bool, typer.Option("--no-sync", help="Keep to --endpoints, do not ask for the members' URLs.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the requests as curl commands.")]
Output = Annotated[
    Literal["simple", "extended", "json"], typer.Option("--output", "-o", help="Form of answers.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, whatever the command; errors too.")]

Words = Annotated[list[str] | None, typer.Argument(show_default=False)]
Ttl = Annotated[int, typer.Option("--ttl", metavar="SECONDS", help="How long the key lives.")]
Sort = Annotated[bool, typer.Option("--sort", help="Sort by key.")]
Quorum = Annotated[bool, typer.Option("--quorum", "-q", help="Read what a majority agrees on.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="With all below the key.")]
AfterIndex = Annotated[
    int, typer.Option("--after-index", min=0, help="Begin behind this index; 0: from now on.")
]
Forever = Annotated[bool, typer.Option("--forever", "-f", help="Go on until interrupted.")]

app = options.program("Read and change keys of a coordinator, or of any etcd with the v2 API.")
member_app = options.program("The members of the cluster.")
dump_app = options.program("What a coordinator keeps, in words.")
app.add_typer(member_app, name="member")
app.add_typer(dump_app, name="dump")


@app.callback(cls=Program, invoke_without_command=True)
def begin(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    endpoints: Endpoints = "",
    endpoint: Endpoint = "",
    peers: Peers = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    ca_file: CaFile = "",
    username: Username = "",
    timeout: Timeout = "2s",
    total_timeout: TotalTimeout = "5s",
    no_sync: NoSync = False,  # noqa: FBT002
    debug: Debug = False,  # noqa: FBT002
    output: Output = "simple",
    as_json: Json = False,  # noqa: FBT002
) -> None:
    """Read and change keys of a coordinator, or of any etcd with the v2 API."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return
    from coordinator.ctl.session import Globals, Session

    given = Globals(
        endpoints or endpoint or peers or ENDPOINTS,
        (ca_file, cert_file, key_file),
        username,
        duration_s(timeout),
        duration_s(total_timeout),
        no_sync,
        debug,
        output,
        as_json,
    )
    context.obj = Session(given)


@member_app.callback(invoke_without_command=True)
@dump_app.callback(invoke_without_command=True)
def list_commands(context: typer.Context) -> None:
    """Show what there is when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _session(context: typer.Context) -> "Session":
    session: Session = context.obj
    return session
