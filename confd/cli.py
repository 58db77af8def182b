"""The program `confd`. Flags are those of confd where they mean the same."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from daemonkit import options

if TYPE_CHECKING:
    from confd.settings import Settings
    from coordinator.client import Tls

ENDPOINTS = "http://127.0.0.1:2379"

app = options.program("Keep files in step with keys: templates rendered, checked, put in place.")
tools = options.program("Look at what confd would do.")


def _wait(text: str) -> str:
    from confd.core.config import amounts

    try:
        amounts.wait(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def _sources(text: str) -> str:
    from confd.sources import local_keys

    try:
        local_keys.checked(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


Wait = Annotated[
    str,
    typer.Option(
        "--wait", metavar="MIN[:MAX]", callback=_wait, help="How long keys must be quiet first."
    ),
]
Source = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="NAME,NAME",
        callback=_sources,
        help="Where keys come from, of env, file:/PATH and store; a later one wins.",
    ),
]
Colour = Annotated[
    bool | None, typer.Option("--color/--no-color", help="Colours; without it, on a terminal.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

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
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    status_addr: options.StatusAddr = "127.0.0.1:2384",
    drain_timeout: options.DrainS = 30.0,
    wait: Wait = "0s",
    source: Source = "store",
    config: options.Config = None,  # noqa: ARG001 - read before the others
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
) -> None:
    """Keep files in step with keys. Beside it: confd noop, test, graph, why, convert.

    Exit codes: 0 done or told to end, 1 a resource failed or the daemon broke, 2 wrong use or
    configuration, 3 the store could not be read (--onetime), 4 confd noop found changes.
    """
    from confd import main as process
    from confd.apply.transaction import Manner
    from confd.core.config import amounts
    from confd.settings import Settings
    from confd.sources import local_keys
    from daemonkit.observe import logs

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
        wait=amounts.wait(wait),
        sources=local_keys.checked(source),
    )
    tls = _tls(ca_file, cert_file, key_file)
    raise typer.Exit(process.run(settings, endpoints, tls, onetime=onetime))


@tools.command()
def noop(  # noqa: PLR0913 - one parameter an option
    *,
    confdir: Confdir = Path("/etc/confd"),
    prefix: Prefix = "",
    source: Source = "store",
    state_dir: StateDir = None,
    colour: Colour = None,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show as a diff what would change, and write nothing.

    Exit codes: 0 nothing would change, 4 something would, 1 a resource cannot be rendered.
    """
    from confd.ctl import preview as work

    shown = sys.stdout.isatty() and "NO_COLOR" not in os.environ if colour is None else colour
    settings = _looking(confdir, prefix, source, state_dir)
    tls = _tls(ca_file, cert_file, key_file)
    raise typer.Exit(work.show_changes(settings, endpoints, tls, colour=shown))


@tools.command()
def graph(  # noqa: PLR0913 - one parameter an option
    *,
    confdir: Confdir = Path("/etc/confd"),
    prefix: Prefix = "",
    source: Source = "store",
    json: Json = False,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show which keys feed which files, for Graphviz or as JSON; no values."""
    from confd.ctl import preview as work

    settings = _looking(confdir, prefix, source, None)
    tls = _tls(ca_file, cert_file, key_file)
    raise typer.Exit(work.show_graph(settings, endpoints, tls, as_json=json))


@tools.command()
def why(  # noqa: PLR0913 - one parameter an option
    dest: Annotated[str, typer.Argument(help="The path of a file.")],
    *,
    confdir: Confdir = Path("/etc/confd"),
    prefix: Prefix = "",
    source: Source = "store",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Say which resource makes a file, and which keys it hangs on, absent ones too."""
    from confd.ctl import preview as work

    settings = _looking(confdir, prefix, source, None)
    tls = _tls(ca_file, cert_file, key_file)
    raise typer.Exit(work.show_why(settings, endpoints, tls, dest))


@tools.command("test")
def run_cases(*, confdir: Confdir = Path("/etc/confd"), prefix: Prefix = "") -> None:
    """Run the cases of CONFDIR/tests/*.toml: keys in, file out, no store."""
    from confd.ctl import preview as work

    raise typer.Exit(work.run_cases(_looking(confdir, prefix, "store", None)))


@tools.command()
def convert(path: Annotated[Path, typer.Argument(help="A template of the Go program.")]) -> None:
    """Print a Go template as one of Jinja2; say on stderr which lines need a hand."""
    from confd.ctl import preview as work

    raise typer.Exit(work.convert_file(path))


def _looking(confdir: Path, prefix: str, source: str, state_dir: Path | None) -> "Settings":
    from confd.apply.transaction import Manner
    from confd.settings import Settings
    from confd.sources import local_keys

    return Settings(
        confdir=confdir.absolute(),
        manner=Manner(noop=True),
        prefix=prefix,
        state_dir=state_dir,
        sources=local_keys.checked(source),
    )


def _tls(*paths: Path | None) -> "Tls":
    from coordinator.client import Tls

    return Tls(*(str(path or "") for path in paths))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `confd`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # The daemon has no sub-command, as the Go program; so a tool is known by its name in front.
    is_tool = bool(arguments) and arguments[0] in {
        str(each.name or getattr(each.callback, "__name__", ""))
        for each in tools.registered_commands
    }
    options.run(tools if is_tool else app, "confd", arguments)
