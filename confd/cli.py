"""The program `confd`: the daemon, and commands that show what it would do.

Options are those of Go's confd where they mean the same.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from confd.ctl import option_types
from confd.ctl.convert import convert
from confd.ctl.graph import graph, why
from confd.ctl.noop import noop as show_changes
from confd.ctl.template_tests import run_tests
from daemonkit import options

app = options.program(
    """Keep files up to date with keys: render templates, check the files, put them in place.

    Without a command, confd runs as a daemon, or once with --onetime.

    Exit codes: 0 done or stopped by a signal, 1 a resource failed or the daemon broke,
    2 wrong use or configuration, 3 the store could not be read (--onetime),
    4 confd noop found changes.
    """
)
app.command("noop")(show_changes)
app.command("test")(run_tests)
app.command("graph")(graph)
app.command("why")(why)
app.command("convert")(convert)


def _wait(text: str) -> str:
    from confd.core.config.quantities import parse_wait

    try:
        parse_wait(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


Wait = Annotated[
    str,
    typer.Option(
        "--wait",
        metavar="MIN[:MAX]",
        callback=_wait,
        help="Wait until keys have not changed for MIN, but at most MAX, before rendering.",
    ),
]
Onetime = Annotated[bool, typer.Option("--onetime", help="Process every resource once and exit.")]
Watch = Annotated[
    bool, typer.Option("--watch", help="Follow the keys, and render changes as they happen.")
]
Interval = Annotated[
    float,
    typer.Option(
        "--interval", metavar="SECONDS", min=0.0, help="Time between full passes; 0 turns them off."
    ),
]
Noop = Annotated[bool, typer.Option("--noop", help="Only report what would change.")]
SyncOnly = Annotated[
    bool, typer.Option("--sync-only", help="Write files, but run no check or reload commands.")
]
KeepStage = Annotated[
    bool,
    typer.Option("--keep-stage-file", help="Keep staged files that were not put in place."),
]
CheckTimeout = Annotated[
    float,
    typer.Option(
        "--check-cmd-timeout", metavar="SECONDS", min=0.1, help="Time limit of each check_cmd."
    ),
]
ReloadTimeout = Annotated[
    float,
    typer.Option(
        "--reload-cmd-timeout", metavar="SECONDS", min=0.1, help="Time limit of each reload_cmd."
    ),
]

RenderTimeout = Annotated[
    float,
    typer.Option(
        "--render-timeout", metavar="SECONDS", min=0.1, help="Time limit of rendering a resource."
    ),
]


@app.callback(invoke_without_command=True)
def daemon(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    confdir: option_types.Confdir = option_types.CONFDIR,
    prefix: option_types.Prefix = "",
    onetime: Onetime = False,
    watch: Watch = False,
    interval: Interval = 600.0,
    noop: Noop = False,
    sync_only: SyncOnly = False,
    keep_stage_file: KeepStage = False,
    check_cmd_timeout: CheckTimeout = 30.0,
    reload_cmd_timeout: ReloadTimeout = 60.0,
    render_timeout: RenderTimeout = 30.0,
    state_dir: option_types.StateDirectory = None,
    endpoints: options.Endpoints = option_types.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    status_addr: options.StatusAddr = "127.0.0.1:2384",
    status_tls: options.StatusTls = "off",
    require_tls: options.RequireTls = False,  # noqa: ARG001 - its callback has taken it
    revoked_file: options.RevokedFile = None,
    drain_timeout: options.DrainS = 30.0,
    wait: Wait = "0s",
    source: option_types.Source = "store",
    config: options.Config = None,  # noqa: ARG001 - read before the others
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
) -> None:
    """Run the daemon, unless a command is called."""
    if context.invoked_subcommand is not None:
        _refuse_daemon_options(context)
        return
    from confd import daemon
    from confd.core.config.quantities import parse_wait
    from confd.core.keyspace.key_sources import parse_sources
    from confd.settings import ApplyOptions, Settings
    from coordinator.client import Tls
    from daemonkit.observe import logs

    logs.configure(log_level, log_format)
    settings = Settings(
        confdir=confdir.absolute(),
        options=ApplyOptions(
            noop,
            sync_only,
            keep_stage_file,
            check_cmd_timeout,
            reload_cmd_timeout,
            render_timeout,
        ),
        prefix=prefix,
        state_dir=state_dir,
        watch=watch,
        interval_s=interval,
        status_addr=status_addr,
        status_tls=options.identity_files(
            "--status-tls", status_tls, (ca_file, cert_file, key_file), revoked_file
        ),
        drain_s=drain_timeout,
        wait=parse_wait(wait),
        sources=parse_sources(source),
    )
    tls = Tls(*(str(path or "") for path in (ca_file, cert_file, key_file)))
    raise typer.Exit(daemon.run(settings, endpoints, tls, is_onetime=onetime))


def _refuse_daemon_options(context: typer.Context) -> None:
    """Refuse options in front of a command: they would be ignored. Raises BadParameter."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"write the options of {context.invoked_subcommand} after its name",
                param_hint=parameter.opts[0],
            )
    # Values of a --config file are the daemon's.
    context.default_map = None


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `confd`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # A check or reload command may be confd itself.
    options.run(app, "confd", arguments, variables=("CONFD_SRC", "CONFD_DEST"))
