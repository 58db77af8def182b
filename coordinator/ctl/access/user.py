"""`coordctl user add get list remove grant revoke passwd update`."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.ctl.exit_codes import fail_plainly
from coordinator.ctl.go_flags import GoCommand
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.ctl.access.user_commands import UserCommands

app = options.program("Users: who may log in, and which roles they have.")

Name = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False)]
NamePassword = Annotated[
    list[str] | None, typer.Argument(metavar="NAME[:PASSWORD]", show_default=False)
]
Ignored = Annotated[list[str] | None, typer.Argument(hidden=True)]
Roles = Annotated[
    str, typer.Option("--roles", metavar="ROLE,ROLE", help="Roles to grant or to revoke.")
]
NewRoles = Annotated[
    str, typer.Option("--roles", metavar="ROLE,ROLE", help="Roles of the new user.")
]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=VALUE",
        help="What takes the place of {NAME} in the patterns of roles. Give it once for each.",
    ),
]
NewPasswordFile = Annotated[
    str,
    typer.Option(
        "--new-password-file",
        metavar="FILE",
        help="File with the password of the user; - is standard input.",
    ),
]
NoPassword = Annotated[
    bool,
    typer.Option("--no-password", help="The user shows a certificate and has no password."),
]
NotBefore = Annotated[
    int | None,
    typer.Option(
        "--not-before",
        min=0,
        metavar="UNIX",
        help="Refuse certificates that were issued at or before this second of Unix time.",
    ),
]


@app.callback(invoke_without_command=True)
def show_help(context: typer.Context) -> None:
    """Print the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list", cls=GoCommand)
def list_users(context: typer.Context, words: Ignored = None) -> None:
    """List the users."""
    if words:
        fail_plainly("No arguments accepted")
    _commands(context).list_users()


@app.command("get", cls=GoCommand)
def get(context: typer.Context, words: Name = None) -> None:
    """Print the roles and attributes of a user."""
    _commands(context).get(_name(words))


@app.command("add", cls=GoCommand)
def add(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: NamePassword = None,
    *,
    roles: NewRoles = "",
    attribute: Attributes = None,
    no_password: NoPassword = False,
    new_password_file: NewPasswordFile = "",
) -> None:
    """Create a user. Without PASSWORD, coordctl asks for it."""
    word = _name(words)
    commands = _commands(context)
    name, colon, password = word.partition(":")
    if no_password:  # then a colon is a part of the name, as in host:web3
        commands.add(word, None, roles, attribute or [])
    elif new_password_file or not colon:
        commands.add(word, commands.new_password(new_password_file), roles, attribute or [])
    else:
        commands.add(name, password, roles, attribute or [])


@app.command("passwd", cls=GoCommand)
def passwd(
    context: typer.Context, words: Name = None, new_password_file: NewPasswordFile = ""
) -> None:
    """Give a user another password. All of the user's tokens end."""
    _commands(context).passwd(_name(words), new_password_file)


@app.command("update", cls=GoCommand)
def update(
    context: typer.Context,
    words: Name = None,
    attribute: Attributes = None,
    not_before: NotBefore = None,
) -> None:
    """Replace the attributes of a user, or refuse the user's older certificates."""
    _commands(context).update(_name(words), attribute, not_before)


@app.command("grant", cls=GoCommand)
def grant(context: typer.Context, words: Name = None, roles: Roles = "") -> None:
    """Give roles to a user."""
    _commands(context).change_roles(_name(words), "grant", roles)


@app.command("revoke", cls=GoCommand)
def revoke(context: typer.Context, words: Name = None, roles: Roles = "") -> None:
    """Take roles from a user."""
    _commands(context).change_roles(_name(words), "revoke", roles)


@app.command("remove", cls=GoCommand)
def remove(context: typer.Context, words: Name = None) -> None:
    """Remove a user. All of the user's tokens end."""
    _commands(context).remove(_name(words))


def _name(words: list[str] | None) -> str:
    if words is None or len(words) != 1 or not words[0].partition(":")[0]:
        fail_plainly("Please provide a username")
    return words[0]


def _commands(context: typer.Context) -> "UserCommands":
    from coordinator.ctl.access.user_commands import UserCommands
    from coordinator.ctl.invocation import invocation

    return UserCommands(invocation(context))
