"""The program `confd`. Flags are those of confd where they mean the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemonkit import options

app = options.program("Keep files in step with keys: templates rendered, checked, put in place.")

Confdir = Annotated[
    Path, typer.Option("--confdir", help="Where conf.d/ and templates/ are.", file_okay=False)
]
Prefix = Annotated[
    str, typer.Option("--prefix", help="Key prefix of all resources, in place of their own.")
]
Onetime = Annotated[bool, typer.Option("--onetime", help="Work every resource once and exit.")]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the keys, beside the interval.")]
Interval = Annotated[
    float,
    typer.Option(
        "--interval", metavar="SECONDS", min=0.0, help="Between two whole passes; 0 is never."
    ),
]
Noop = Annotated[bool, typer.Option("--noop", help="Only say what would change.")]
SyncOnly = Annotated[bool, typer.Option("--sync-only", help="Write files, run no commands.")]
KeepStage = Annotated[
    bool, typer.Option("--keep-stage-file", help="Keep what was staged and not put in place.")
]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where owed reloads and the last keys outlive the process."),
]
CheckTimeout = Annotated[
    float, typer.Option("--check-cmd-timeout", metavar="SECONDS", min=0.1, help="For check_cmd.")
]
ReloadTimeout = Annotated[
    float, typer.Option("--reload-cmd-timeout", metavar="SECONDS", min=0.1, help="For reload_cmd.")
]


@app.command()
def serve(  # noqa: PLR0913 - one parameter an option
    *,
    confdir: Confdir = Path("/etc/confd"),
    prefix: Prefix = "",
    onetime: Onetime = False,
    watch: Watch = False,
    interval: Interval = 600.0,
    noop: Noop = False,
    sync_only: SyncOnly = False,
    keep_stage_file: KeepStage = False,
    check_cmd_timeout: CheckTimeout = 30.0,
    reload_cmd_timeout: ReloadTimeout = 60.0,
    state_dir: StateDir = None,
    endpoints: options.Endpoints = "http://127.0.0.1:2379",
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    status_addr: options.StatusAddr = "127.0.0.1:2384",
    drain_timeout: options.DrainS = 30.0,
    config: options.Config = None,  # noqa: ARG001 - read before the others
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
) -> None:
    """Keep files in step with keys.

    Exit codes: 0 done or told to end, 1 a resource failed or the daemon broke, 2 wrong use or
    configuration, 3 the store could not be read (--onetime).
    """
    from confd import process
    from confd.cycle import Manner
    from confd.settings import Settings
    from coordinator.client import Tls
    from daemonkit import logs

    logs.configure(log_level, log_format)
    settings = Settings(
        confdir=confdir.absolute(),
        manner=Manner(noop, sync_only, keep_stage_file, check_cmd_timeout, reload_cmd_timeout),
        prefix=prefix,
        state_dir=state_dir,
        watch=watch,
        interval_s=interval,
        status_addr=status_addr,
        drain_s=drain_timeout,
    )
    tls = Tls(*(str(path or "") for path in (ca_file, cert_file, key_file)))
    raise typer.Exit(process.run(settings, endpoints, tls, onetime=onetime))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `confd`."""
    options.run(app, "confd", argv)
