"""The options of `locksmithd`, each declared once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from locksmith.core.policy import Strategy
from locksmith.core.reboot_probes import PROBES
from locksmith.core.window import InvalidWindow, parse_duration
from locksmith.store import store_options
from locksmith.store.store_options import StoreOptions

SENTINELS = "/run/reboot-required; /run/locksmith/reboot-required"


def _watchable_group(name: str | None) -> str | None:
    if name is not None and name.startswith("_"):
        raise typer.BadParameter(
            f"group {name!r}: etcd hides keys that begin with _ from watches; rename the group"
        )
    return store_options.checked_group(name)


def _checked_duration(text: str) -> str:
    try:
        if text:
            parse_duration(text)
    except InvalidWindow as error:
        raise typer.BadParameter(str(error)) from None
    return text


def _text(flag: str, about: str, metavar: str) -> object:
    return typer.Option(flag, metavar=metavar, help=about)


def _duration(flag: str, about: str) -> object:
    return typer.Option(flag, metavar="DURATION", callback=_checked_duration, help=about)


@dataclass(frozen=True, kw_only=True)
class RebootSettings:
    """How this host reboots. `locksmithctl reboot` has these options, too."""

    failure_budget: Annotated[
        int, typer.Option(min=1, help="Number of failed hosts that halts the group.")
    ] = 1
    hooks_dir: Annotated[
        Path,
        typer.Option(
            help="Directory with the hooks: pre-lock.d, pre-reboot.d, abort.d, healthy.d."
        ),
    ] = Path("/etc/locksmith")
    hook_timeout: Annotated[str, _duration("--hook-timeout", "Time limit of each hook.")] = "5m"
    deadline: Annotated[
        str, _duration("--deadline", "Time limit from the grant of a slot to the reboot.")
    ] = "30m"
    reboot_command: Annotated[
        str, typer.Option(help="Shell command that reboots the host, in place of logind.")
    ] = ""
    store_member: Annotated[
        str,
        typer.Option(
            metavar="auto|no|NAME",
            help="Name of the store's member on this host; "
            "auto finds it by its addresses, no means none.",
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class Settings(RebootSettings, StoreOptions):
    """All options of `locksmithd`, as given."""

    strategy: Annotated[
        Strategy, typer.Option("--strategy", help="Whether a reboot needs a slot.")
    ] = Strategy.ETCD_LOCK
    group: Annotated[
        str | None,
        typer.Option("--group", callback=_watchable_group, help=store_options.GROUP_HELP),
    ] = None
    window: Annotated[
        str,
        _text(
            "--window",
            "When this host may reboot; separate several windows with semicolons.",
            "[DAYS ]HH:MM+LENGTH",
        ),
    ] = ""
    time_zone: Annotated[
        str,
        _text(
            "--time-zone",
            "IANA time zone of the windows; without it, the zone of this host.",
            "ZONE",
        ),
    ] = ""
    exclude: Annotated[
        str,
        _text(
            "--exclude",
            "Days without reboots; separate several with semicolons.",
            "DATE[..DATE]",
        ),
    ] = ""
    window_remaining: Annotated[
        str,
        _duration(
            "--window-remaining",
            "Start a reboot only if at least this much of the window is left.",
        ),
    ] = "0s"
    spread: Annotated[
        str,
        _duration("--spread", "Spread the reboots of hosts over this time after a window opens."),
    ] = "0s"
    max_deferral: Annotated[
        str,
        _duration(
            "--max-deferral",
            "After this time, a needed reboot no longer waits for a window or for users; "
            "empty means never.",
        ),
    ] = ""
    best_effort_wait: Annotated[
        str,
        _duration(
            "--best-effort-wait",
            "With the strategy best-effort, wait this long for an unreachable store.",
        ),
    ] = "10m"
    reclaim_lost: Annotated[
        int,
        typer.Option(min=0, help="Number of slots of lost hosts to take back; 0 means none."),
    ] = 0
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Hosts with a higher priority go first.")
    ] = 0
    sentinel: Annotated[
        str,
        typer.Option(help="Files that request a reboot; separate several with semicolons."),
    ] = SENTINELS
    probe: Annotated[
        str,
        typer.Option(
            help="Installed programs to ask whether a reboot is needed, "
            "separated by commas; or none."
        ),
    ] = ",".join(PROBES)
    need_command: Annotated[
        str,
        typer.Option(help="Shell command that exits with 0 if a reboot is needed."),
    ] = ""
    users: Annotated[
        str,
        _text(
            "--users",
            "Whether to wait until no user is logged in, or to ignore users.",
            "wait|ignore",
        ),
    ] = "wait"
    gate_command: Annotated[
        str,
        typer.Option(
            help="Shell commands that must exit with 0 before a reboot; "
            "separate several with semicolons."
        ),
    ] = ""
    gate_url: Annotated[
        str,
        typer.Option(
            help="URLs that must answer 2xx before a reboot; separate several with semicolons."
        ),
    ] = ""
    prometheus_url: Annotated[
        str, typer.Option(help="Prometheus server whose firing alerts block reboots.")
    ] = ""
    ignore_alerts: Annotated[
        str,
        typer.Option(
            metavar="REGEX", help="Pattern for names of alerts that do not block reboots."
        ),
    ] = ""
    healthy_timeout: Annotated[
        str,
        _duration(
            "--healthy-timeout", "A host that is not healthy this long after its start has failed."
        ),
    ] = "10m"
    settle: Annotated[
        str, _duration("--settle", "How long a host must be healthy before it releases its slot.")
    ] = "10s"
    notify_url: Annotated[
        str,
        typer.Option(help="Webhooks that receive each event; separate several with semicolons."),
    ] = ""
    state_dir: options.StateDir = None
    status_addr: options.StatusAddr = "127.0.0.1:2382"
    status_tls: options.StatusTls = "off"
    require_tls: options.RequireTls = False
    revoked_file: options.RevokedFile = None
    log_level: options.LogLevel = "info"
    log_format: options.LogFormat = "text"
    drain_timeout: options.DrainS = 10.0
    config: options.Config = None
    show_version: options.ShowVersion = False
