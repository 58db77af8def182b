"""The programs `locksmithctl` and `locksmithd`."""

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from daemonkit import options
from daemonkit.observe import logs
from locksmith.core import go_flags, keys
from locksmith.ctl import group as views
from locksmith.ctl import pauses, render
from locksmith.ctl import slots as commands
from locksmith.store.compare_and_swap import Pace
from locksmith.store.connection import Remote

CTL = "locksmithctl"
DAEMON = "locksmithd"
# Go's locksmith also tries port 4001, where etcd has not listened by default since 2.0.
ENDPOINTS = "http://127.0.0.1:2379"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `locksmithctl`."""
    os.environ.update(go_flags.variables(os.environ, CTL.upper()))
    options.run(ctl, CTL, go_flags.hoisted(sys.argv[1:] if argv is None else argv))


def daemon(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `locksmithd`."""
    os.environ.update(go_flags.variables(os.environ, DAEMON.upper()))
    from locksmith.cli import app

    options.run(app, DAEMON, go_flags.renamed(sys.argv[1:] if argv is None else argv))


def checked_group(name: str | None) -> str | None:
    """Return a group's name as an option gives it, or say what is wrong with it."""
    if name == "":
        raise typer.BadParameter("the name is empty: leave --group out for the default group")
    try:
        return None if name is None else keys.checked_group(name)
    except keys.NameRefused as error:
        raise typer.BadParameter(str(error)) from None


def version_of(program: str) -> Callable[[bool], None]:
    """Return the callback of `--version`."""

    def show(wanted: bool) -> None:  # noqa: FBT001 - the form of typer's callbacks
        if wanted:
            typer.echo(f"{program} version {version()}")
            raise typer.Exit

    return show


def version() -> str:
    """Return the installed version; "unknown" in a checkout that is not installed."""
    try:
        return metadata.version("slashetc")
    except metadata.PackageNotFoundError:
        return "unknown"


Username = Annotated[str, typer.Option("--etcd-username", help="User name for the store.")]
Password = Annotated[
    str,
    typer.Option("--etcd-password", help="Its password; better given by the environment."),
]
GROUP_HELP = "Whose semaphore; the default group without it."
Holder = Annotated[
    str | None, typer.Argument(metavar="ID", help="This host's machine-id unless given.")
]
Host = Annotated[str, typer.Argument(metavar="HOST", help="Its name or machine-id.")]
Scope = Annotated[
    str, typer.Argument(metavar="group|fleet|HOST", help="What: this group unless given.")
]
Group = Annotated[str | None, typer.Option("--group", callback=checked_group, help=GROUP_HELP)]


class _Commands(TyperGroup):
    """Sub-commands that answer an unknown name as Go's program does."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            typer.echo(f"{CTL}: unknown subcommand: {render.quoted(args[0])}")
            typer.echo(f"Run '{CTL} help' for usage.")
            raise typer.Exit(options.EXIT_USAGE)
        return super().resolve_command(ctx, args)


ctl = typer.Typer(
    cls=_Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@ctl.callback(invoke_without_command=True)
def begin(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    *,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    etcd_username: Username = "",
    etcd_password: Password = "",
    group: Group = None,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="LOCKSMITHCTL_JSON", help="Answer in JSON.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what is known beside the semaphore.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log to stderr what is done.")] = False,
    config: options.Config = None,  # noqa: ARG001 - read by its callback
    show_version: Annotated[  # noqa: ARG001 - answered by its callback
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            allow_from_autoenv=False,
            callback=version_of(CTL),
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Manage the cluster wide reboot lock."""
    logs.configure("debug" if debug else "warning", "text")
    remote = Remote(endpoints, (ca_file, cert_file, key_file), (etcd_username, etcd_password))
    pace = Pace(time.monotonic, time.sleep, lambda limit_s: random.uniform(0.0, limit_s))
    context.obj = commands.Caller(remote, group or "", as_json, verbose, pace)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@ctl.command("help")
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


@ctl.command("status")
def status(context: typer.Context) -> None:
    """Show how many slots are free, how many there are, and who holds one. Writes nothing."""
    _say(lambda: commands.status(context.obj))


@ctl.command("lock")
def lock(context: typer.Context, holder: Holder = None) -> None:
    """Take a slot for this host, or for another holder. Who holds one keeps it."""
    _say(lambda: commands.lock(context.obj, holder, datetime.now(UTC)))


@ctl.command("unlock")
def unlock(context: typer.Context, holder: Holder = None) -> None:
    """Give back the slot of this host, or of another holder."""
    _say(lambda: commands.unlock(context.obj, holder))


@ctl.command("set-max")
def set_max(
    context: typer.Context,
    slots: Annotated[list[str] | None, typer.Argument(metavar="N", help="Slots.")] = None,
) -> None:
    """Set how many holders there may be at once; who holds a slot now keeps it."""
    _say(lambda: commands.set_max(context.obj, slots or []))


@ctl.command("reboot")
def reboot(context: typer.Context) -> None:
    """Take a slot and reboot this host now, whatever the strategy and the windows say."""
    _say(lambda: pauses.reboot(context.obj))


@ctl.command("send-need-reboot")
def send_need_reboot(
    reason: Annotated[str, typer.Option("--reason", help="Shown where the host waits.")] = "",
) -> None:
    """Tell this host's locksmithd that a reboot is needed."""
    _say(lambda: pauses.send_need_reboot(reason))


@ctl.command("pause")
def pause(
    context: typer.Context,
    scope: Scope = "group",
    reason: Annotated[str, typer.Option("--reason", help="Shown to everybody who waits.")] = "",
    lasting: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Until it ends by itself: 8h, 14d.")
    ] = "",
) -> None:
    """Let no reboot begin. What is rebooting already goes on."""
    _say(lambda: pauses.pause(context.obj, scope, reason, lasting))


@ctl.command("resume")
def resume(context: typer.Context, scope: Scope = "group") -> None:
    """End a pause; for a group forget its failures too, so that failed hosts are judged anew."""
    _say(lambda: pauses.resume(context.obj, scope))


@ctl.command("forget")
def forget(
    context: typer.Context,
    host: Host,
    force: Annotated[bool, typer.Option("--force", help="Even if it is alive.")] = False,  # noqa: FBT002
) -> None:
    """Remove all that a decommissioned host left behind, its slot included."""
    _say(lambda: pauses.forget(context.obj, host, force=force))


@ctl.command("why")
def why(context: typer.Context, host: Host) -> None:
    """Show why a host needs a reboot, and what it waits for."""
    _say(lambda: views.why(context.obj, host))


@ctl.command("queue")
def queue(context: typer.Context) -> None:
    """Show who waits for a slot, in order."""
    _say(lambda: views.queue(context.obj))


@ctl.command("history")
def history(
    context: typer.Context,
    last: Annotated[int, typer.Option("-n", "--last", min=1, help="So many lines.")] = 50,
) -> None:
    """Show what happened in the group, the latest last."""
    _say(lambda: views.history(context.obj, last))


@ctl.command("watch")
def watch(context: typer.Context) -> None:
    """Show each change of the group as it happens, until interrupted."""
    try:
        for line in views.watch(context.obj):
            sys.stdout.write(line)
            sys.stdout.flush()
    except commands.Stopped as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(options.EXIT_NO) from None
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)  # the watch's thread would be waited for


def _say(command: Callable[[], commands.Answer]) -> None:
    try:
        answer = command()
    except keys.NameRefused as error:
        raise typer.BadParameter(str(error)) from None
    except commands.Stopped as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(options.EXIT_NO) from None
    typer.echo(answer.text, nl=False)
    if answer.warning:
        typer.echo(f"{CTL}: {answer.warning}", err=True)
