"""`coordctl role add get list remove grant revoke`."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.ctl.exit_codes import fail_plainly
from coordinator.ctl.go_flags import GoCommand
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.ctl.access.role_commands import RoleCommands

app = options.program("Roles: what their users may read, write and do.")

Name = Annotated[list[str] | None, typer.Argument(metavar="ROLE", show_default=False)]
Ignored = Annotated[list[str] | None, typer.Argument(hidden=True)]
Path = Annotated[
    str,
    typer.Option(
        "--path", metavar="PATTERN", help="Keys: /a, /a/* for all below it, /hosts/{host}/*."
    ),
]
Read = Annotated[bool, typer.Option("--read", help="To read.")]
Write = Annotated[bool, typer.Option("--write", help="To write.")]
ReadWrite = Annotated[bool, typer.Option("--readwrite", "--rw", help="To read and write.")]
Own = Annotated[
    str,
    typer.Option(
        "--own",
        metavar="LIST[,COUNTER]",
        help="To add and remove only the user's own {machine} in this list of a JSON document.",
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="NAME,NAME",
        help="Capabilities besides keys, such as info, metrics, members, backup, auth, audit.",
    ),
]


@app.callback(invoke_without_command=True)
def show_help(context: typer.Context) -> None:
    """Print the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list", cls=GoCommand)
def list_roles(context: typer.Context, words: Ignored = None) -> None:
    """List the roles."""
    if words:
        fail_plainly("No arguments accepted")
    _commands(context).list_roles()


@app.command("get", cls=GoCommand)
def get(context: typer.Context, words: Name = None) -> None:
    """Print what a role permits."""
    _commands(context).get(_name(words))


@app.command("add", cls=GoCommand)
def add(context: typer.Context, words: Name = None) -> None:
    """Create a role that permits nothing yet."""
    _commands(context).add(_name(words))


@app.command("remove", cls=GoCommand)
def remove(context: typer.Context, words: Name = None) -> None:
    """Remove a role, also from its users."""
    _commands(context).remove(_name(words))


@app.command("grant", cls=GoCommand)
def grant(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: Name = None,
    *,
    path: Path = "",
    read: Read = False,
    write: Write = False,
    readwrite: ReadWrite = False,
    own: Own = "",
    cluster: Cluster = "",
) -> None:
    """Permit something to a role."""
    how = _how(read=read, write=write, readwrite=readwrite)
    _commands(context).change(_name(words), "grant", path, how, own, cluster)


@app.command("revoke", cls=GoCommand)
def revoke(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: Name = None,
    *,
    path: Path = "",
    read: Read = False,
    write: Write = False,
    readwrite: ReadWrite = False,
    own: Own = "",
    cluster: Cluster = "",
) -> None:
    """Permit something no more."""
    how = _how(read=read, write=write, readwrite=readwrite)
    _commands(context).change(_name(words), "revoke", path, how, own, cluster)


def _how(*, read: bool, write: bool, readwrite: bool) -> tuple[bool, ...]:
    return (read, write, readwrite)


def _name(words: list[str] | None) -> str:
    if words is None or len(words) != 1 or not words[0]:
        fail_plainly("Please provide a role name")
    return words[0]


def _commands(context: typer.Context) -> "RoleCommands":
    from coordinator.ctl.access.role_commands import RoleCommands
    from coordinator.ctl.invocation import invocation

    return RoleCommands(invocation(context))
