"""The command line of `coordctl`. Commands, options and output are those of etcdctl's v2 API."""

from collections.abc import Sequence
from typing import Annotated, Literal, NoReturn

import typer

from coordinator.core.ctl.global_options import GlobalOptions
from coordinator.ctl import backup, dump, key, member, migrate
from coordinator.ctl.access import auth, role, user
from coordinator.ctl.access.credentials import VARIABLE
from coordinator.ctl.go_flags import CommandGroup, RootCommand, duration_s
from daemonkit import options

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
        show_default=ENDPOINTS,
        help="Client URLs of the cluster.",
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
    str, typer.Option(envvar=_variables("CERT_FILE"), help="Client certificate for the server.")
]
KeyFile = Annotated[
    str, typer.Option(envvar=_variables("KEY_FILE"), help="Private key of --cert-file.")
]
CaFile = Annotated[
    str, typer.Option(envvar=_variables("CA_FILE"), help="CA that signed the server's certificate.")
]
Username = Annotated[
    str,
    typer.Option(
        "--username",
        "-u",
        metavar="NAME[:PASSWORD]",
        envvar=_variables("USERNAME"),
        help=(
            "User name. Without a password here, it is read from --password-file or from "
            "COORDCTL_PASSWORD, or coordctl asks for it."
        ),
    ),
]
PasswordFile = Annotated[
    str,
    typer.Option(
        "--password-file", metavar="FILE", help="File with the password; - is standard input."
    ),
]
Timeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long to wait for the answer of one server.")
]
TotalTimeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long a command may take, except watches.")
]
NoSync = Annotated[
    bool, typer.Option("--no-sync", help="Use only --endpoints, not the URLs of the members.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Print each request as a curl command.")]
Output = Annotated[
    Literal["simple", "extended", "json"], typer.Option("--output", "-o", help="Output format.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for every command and for errors.")]

app = options.program("Read and change keys of a coordinator, or of any etcd with the v2 API.")
app.add_typer(key.app)
app.add_typer(member.cluster_app)
app.add_typer(migrate.app)
app.add_typer(backup.recover_app)
app.add_typer(member.app, name="member", cls=CommandGroup)
app.add_typer(user.app, name="user", cls=CommandGroup)
app.add_typer(role.app, name="role", cls=CommandGroup)
app.add_typer(auth.app, name="auth", cls=CommandGroup)
app.add_typer(auth.access_app)
app.add_typer(dump.app, name="dump", cls=CommandGroup)
app.add_typer(backup.app, name="backup", cls=CommandGroup)


@app.callback(cls=RootCommand, invoke_without_command=True)
def begin(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    endpoints: Endpoints = "",
    endpoint: Endpoint = "",
    peers: Peers = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    ca_file: CaFile = "",
    username: Username = "",
    password_file: PasswordFile = "",
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
    context.obj = GlobalOptions(
        _endpoints(context, endpoints, endpoint or peers),
        (ca_file, cert_file, key_file),
        username,
        password_file,
        duration_s(timeout, "--timeout"),
        duration_s(total_timeout, "--total-timeout"),
        no_sync,
        debug,
        output,
        as_json,
    )


def _endpoints(context: typer.Context, given: str, alias: str) -> str:
    """Return the endpoints. A file of defaults yields to an option, also under its old names."""
    source = context.get_parameter_source("endpoints")
    is_default = source is not None and source.name == "DEFAULT"
    return (alias or given if is_default else given or alias) or ENDPOINTS


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the console script."""
    options.run(app, PROG, argv, variables=(VARIABLE,))
