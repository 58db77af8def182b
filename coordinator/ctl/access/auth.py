"""`coordctl auth enable disable token`, `why-denied` and `audit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.ctl.exit_codes import fail_plainly
from coordinator.ctl.go_flags import GoCommand, duration_s
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.ctl.access.auth_commands import AuthCommands

app = options.program("Switch access control on and off, and make tokens.")
access_app = options.program("Who may do what, and who did.")

Ignored = Annotated[list[str] | None, typer.Argument(hidden=True)]
Question = Annotated[
    list[str] | None, typer.Argument(metavar="USER OPERATION KEY", show_default=False)
]
Prefixes = Annotated[
    list[str] | None,
    typer.Option(
        "--prefix",
        metavar="KEY",
        help="With this token only keys below KEY may be written. Give it once for each.",
    ),
]


@app.callback(invoke_without_command=True)
def show_help(context: typer.Context) -> None:
    """Print the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("enable", cls=GoCommand)
def enable(context: typer.Context, words: Ignored = None) -> None:
    """Let nobody do more than their roles permit."""
    _no(words)
    _commands(context).enable()


@app.command("disable", cls=GoCommand)
def disable(context: typer.Context, words: Ignored = None) -> None:
    """Let everybody do everything again."""
    _no(words)
    _commands(context).disable()


@app.command("token", cls=GoCommand)
def token(
    context: typer.Context,
    words: Ignored = None,
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="DURATION", help="How long it admits, at most 1h.")
    ] = "1h",
    prefix: Prefixes = None,
) -> None:
    """Print a bearer token of the user who asks."""
    _no(words)
    _commands(context).token(int(duration_s(ttl, "--ttl")), prefix)


@access_app.command("why-denied", cls=GoCommand)
def why_denied(context: typer.Context, words: Question = None) -> None:
    """Say why USER may not read or write KEY, and which permission is missing."""
    if words is None or len(words) != 3:
        fail_plainly("Please provide a user, an operation (read or write) and a key")
    user, operation, key = words
    raise typer.Exit(_commands(context).why_denied(user, operation, key))


@access_app.command("audit", cls=GoCommand)
def audit(
    context: typer.Context,
    words: Ignored = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new lines until interrupted.")
    ] = False,
) -> None:
    """Print the last lines of the audit logs of all members."""
    _no(words)
    from coordinator.ctl.access import audit_commands
    from coordinator.ctl.invocation import invocation

    audit_commands.audit(invocation(context), follow=follow)


def _no(words: list[str] | None) -> None:
    if words:
        fail_plainly("No arguments accepted")


def _commands(context: typer.Context) -> "AuthCommands":
    from coordinator.ctl.access.auth_commands import AuthCommands
    from coordinator.ctl.invocation import invocation

    return AuthCommands(invocation(context))
