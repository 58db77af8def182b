"""Builds `locksmithctl`: its global options and its commands."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from daemonkit import options
from daemonkit.observe import logs
from locksmith.core import go_flags
from locksmith.ctl import group, hosts, pauses, reboots, render, slots
from locksmith.ctl.invocation import PROGRAM, Invocation
from locksmith.store import store_options
from locksmith.store.store_options import StoreOptions


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `locksmithctl`."""
    own = PROGRAM.upper()
    os.environ.update(go_flags.variables(os.environ, own))
    arguments = go_flags.global_flags_first(sys.argv[1:] if argv is None else argv)
    options.run(app, PROGRAM, arguments, variables=go_flags.go_variables(own))


class _Commands(TyperGroup):
    """The commands; an unknown one is reported as in Go's program."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            typer.echo(f"{PROGRAM}: unknown subcommand: {render.quoted(args[0])}")
            typer.echo(f"Run '{PROGRAM} help' for usage.")
            raise typer.Exit(options.EXIT_USAGE)
        return super().resolve_command(ctx, args)


@dataclass(frozen=True, kw_only=True)
class GlobalOptions(StoreOptions):
    """The options that may be given before or after any command."""

    context: typer.Context
    group: Annotated[
        str | None,
        typer.Option(
            "--group", callback=store_options.checked_group, help=store_options.GROUP_HELP
        ),
    ] = None
    as_json: Annotated[
        bool, typer.Option("--json", envvar="LOCKSMITHCTL_JSON", help="Print JSON.")
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show more than Go's locksmithctl does.")
    ] = False
    debug: Annotated[bool, typer.Option("--debug", help="Log debug messages to stderr.")] = False
    config: options.Config = None
    show_version: options.ShowVersion = False


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
@options.of_value(GlobalOptions)
def begin(given: GlobalOptions) -> None:
    """Manage the cluster-wide reboot lock."""
    logs.configure("debug" if given.debug else "warning", "text")
    context = given.context
    context.obj = Invocation(given, given.group or "", given.as_json, given.verbose)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("help")
def show_help(context: typer.Context, command: Annotated[str, typer.Argument()] = "") -> None:
    """Show a list of commands, or help for one command."""
    top: Any = context.find_root()
    if not command:
        typer.echo(top.get_help())
        return
    found = top.command.get_command(top, command)
    if found is None:
        typer.echo(f"Unrecognized command: {command}")
        raise typer.Exit(options.EXIT_NO)
    typer.echo(found.make_context(command, [], parent=top, resilient_parsing=True).get_help())


app.command("status")(slots.status)
app.command("lock")(slots.lock)
app.command("unlock")(slots.unlock)
app.command("set-max")(slots.set_max)
app.command("reboot")(reboots.reboot)
app.command("send-need-reboot")(reboots.send_need_reboot)
app.command("pause")(pauses.pause)
app.command("resume")(pauses.resume)
app.command("forget")(hosts.forget)
app.command("why")(hosts.why)
app.command("queue")(group.queue)
app.command("history")(group.history)
app.command("watch")(group.watch)
