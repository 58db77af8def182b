"""`coordctl member list add remove update promote`, `move-leader` and `cluster-health`."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.ctl.exit_codes import BAD_ARGUMENTS, fail
from coordinator.ctl.go_flags import GoCommand
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.ctl.member_commands import MemberCommands

app = options.program("List and change the members of the cluster.")
cluster_app = options.program("The cluster as a whole.")

NameUrl = Annotated[list[str] | None, typer.Argument(metavar="NAME URL", show_default=False)]
MemberId = Annotated[list[str] | None, typer.Argument(metavar="ID", show_default=False)]
IdUrls = Annotated[list[str] | None, typer.Argument(metavar="ID URL,URL", show_default=False)]
Ignored = Annotated[list[str] | None, typer.Argument(hidden=True)]
Forever = Annotated[bool, typer.Option("--forever", "-f", help="Continue until interrupted.")]


@app.callback(invoke_without_command=True)
def show_help(context: typer.Context) -> None:
    """Print the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list", cls=GoCommand)
def list_members(context: typer.Context, words: Ignored = None) -> None:
    """List the members and show which one is the leader."""
    if words:
        fail("No arguments accepted", BAD_ARGUMENTS)
    _commands(context).list_members()


@app.command("add", cls=GoCommand)
def add(context: typer.Context, words: NameUrl = None) -> None:
    """Add a member. It is a learner, and gets its vote when it has caught up."""
    if words is None or len(words) != 2:
        fail("Provide a name and a single member peerURL", BAD_ARGUMENTS)
    _commands(context).add(*words)


@app.command("remove", cls=GoCommand)
def remove(context: typer.Context, words: MemberId = None) -> None:
    """Remove a member permanently. Its process exits."""
    if words is None or len(words) != 1:
        fail("Provide a single member ID", BAD_ARGUMENTS)
    _commands(context).remove(*words)


@app.command("update", cls=GoCommand)
def update(context: typer.Context, words: IdUrls = None) -> None:
    """Replace the peer URLs of a member."""
    if words is None or len(words) != 2:
        fail("Provide an ID and a list of comma separated peerURL", BAD_ARGUMENTS)
    _commands(context).update(*words)


@app.command("promote", cls=GoCommand)
def promote(context: typer.Context, words: MemberId = None) -> None:
    """Give a learner its vote now."""
    if words is None or len(words) != 1:
        fail("Provide a single member ID", BAD_ARGUMENTS)
    _commands(context).promote(*words)


@cluster_app.command("cluster-health", cls=GoCommand)
def cluster_health(context: typer.Context, _: Ignored = None, *, forever: Forever = False) -> None:
    """Ask every member whether it is healthy."""
    raise typer.Exit(_commands(context).health(forever=forever))


@cluster_app.command("move-leader", cls=GoCommand)
def move_leader(context: typer.Context, words: MemberId = None) -> None:
    """Transfer leadership to a member.

    Without ID, any other member becomes the leader.
    """
    _commands(context).move_leader(*(words or [""])[:1])


def _commands(context: typer.Context) -> "MemberCommands":
    from coordinator.ctl.invocation import invocation
    from coordinator.ctl.member_commands import MemberCommands

    return MemberCommands(invocation(context))
