"""`coordctl dump wal snapshot state`."""

from pathlib import Path

import typer

from daemonkit import options

app = options.program("Print what a coordinator has on disk and in memory.")


@app.callback(invoke_without_command=True)
def show_help(context: typer.Context) -> None:
    """Print the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("wal")
def wal(context: typer.Context, directory: Path) -> None:
    """Print each record of the log in DIRECTORY, a --data-dir; the coordinator may be running."""
    from coordinator.ctl import dump_commands
    from coordinator.ctl.invocation import invocation

    invocation(context).print_lines(dump_commands.wal(directory))


@app.command("snapshot")
def snapshot(context: typer.Context, file: Path) -> None:
    """Print each key of a snapshot FILE."""
    from coordinator.ctl import dump_commands
    from coordinator.ctl.invocation import invocation

    invocation(context).print_lines(dump_commands.snapshot(file))


@app.command("state")
def state(context: typer.Context, url: str) -> None:
    """Print the state of the coordinator whose --status-addr is at URL."""
    from coordinator.ctl import dump_commands
    from coordinator.ctl.invocation import invocation

    call = invocation(context)
    call.print_state(dump_commands.state(url, call.tls))
