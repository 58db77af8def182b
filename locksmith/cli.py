"""The command line of `locksmithd`."""

from collections.abc import Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psutil
import typer

from coordinator.client.core.errors import StoreError
from daemonkit import options
from daemonkit.observe import logs
from locksmith.core.policy import Rules
from locksmith.core.strategy import Strategy
from locksmith.core.window import (
    BadWindow,
    Calendar,
    parse_duration,
    parse_excluded,
    parse_window,
    split,
)
from locksmith.ctl import app as cli
from locksmith.host import identity
from locksmith.host.blockers import Gates, listed
from locksmith.host.identity import Host, NoIdentity
from locksmith.host.reboot_required import PROBES, Sources
from locksmith.settings import Care, Settings
from locksmith.store.connection import Remote
from locksmith.store.store_quorum import Neighbours

SENTINELS = "/run/reboot-required; /run/locksmith/reboot-required"

T = TypeVar("T")

app = options.program("Reboot this host when it needs it, and never more hosts than allowed.")


def _watchable(name: str | None) -> str | None:
    if name is not None and name.startswith("_"):
        raise typer.BadParameter(
            f"group {name!r}: etcd hides keys that begin with _ from watches; rename the group"
        )
    return cli.checked_group(name)


def _duration(text: str) -> str:
    if text:
        _said(lambda: parse_duration(text))
    return text


def _option(flag: str, text: str, metavar: str = "TEXT") -> object:
    return typer.Option(flag, metavar=metavar, help=text)


@app.command()
def serve(  # noqa: PLR0913 - typer reads options from parameters
    *,
    strategy: Annotated[
        Strategy, typer.Option("--strategy", help="How this host takes its reboots.")
    ] = Strategy.ETCD_LOCK,
    group: Annotated[
        str | None, typer.Option("--group", callback=_watchable, help=cli.GROUP_HELP)
    ] = None,
    window: Annotated[
        str, _option("--window", "When to reboot; several with semicolons.", "[DAYS ]HH:MM+LENGTH")
    ] = "",
    time_zone: Annotated[
        str, _option("--time-zone", "IANA name; this host's zone without it.", "ZONE")
    ] = "",
    exclude: Annotated[
        str, _option("--exclude", "Days without reboots; several with semicolons.", "DATE[..DATE]")
    ] = "",
    window_remaining: Annotated[
        str, typer.Option(metavar="DURATION", callback=_duration, help="Left of a window to begin.")
    ] = "0s",
    spread: Annotated[
        str,
        typer.Option(metavar="DURATION", callback=_duration, help="Hosts begin over this time."),
    ] = "0s",
    max_deferral: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            callback=_duration,
            help="A need so old waits for no window and no user; empty for never.",
        ),
    ] = "",
    best_effort_wait: Annotated[
        str,
        typer.Option(
            metavar="DURATION", callback=_duration, help="Strategy best-effort: for the store."
        ),
    ] = "10m",
    failure_budget: Annotated[
        int, typer.Option(min=1, help="So many failed hosts halt their group.")
    ] = 1,
    reclaim_lost: Annotated[
        int, typer.Option(min=0, help="So many slots of lost hosts may be taken back; 0 for none.")
    ] = 0,
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Higher goes first in the queue.")
    ] = 0,
    sentinel: Annotated[
        str, typer.Option(help="Files that ask for a reboot; several with semicolons.")
    ] = SENTINELS,
    probe: Annotated[
        str, typer.Option(help="Programs to ask, where installed; commas between, or none.")
    ] = ",".join(PROBES),
    need_command: Annotated[
        str, typer.Option(help="Shell command; exit code 0 means: a reboot is needed.")
    ] = "",
    hooks_dir: Annotated[
        Path, typer.Option(help="Holds pre-lock.d, pre-reboot.d, abort.d, healthy.d.")
    ] = Path("/etc/locksmith"),
    hook_timeout: Annotated[
        str, typer.Option(metavar="DURATION", callback=_duration, help="For each hook.")
    ] = "5m",
    users: Annotated[
        str, typer.Option(metavar="wait|ignore", help="What logged-in users are to a reboot.")
    ] = "wait",
    gate_command: Annotated[
        str, typer.Option(help="Must exit with 0 for a reboot; several with semicolons.")
    ] = "",
    gate_url: Annotated[
        str, typer.Option(help="Must answer 2xx for a reboot; several with semicolons.")
    ] = "",
    prometheus_url: Annotated[str, typer.Option(help="No reboot while its alerts fire.")] = "",
    ignore_alerts: Annotated[str, typer.Option(metavar="REGEX", help="But for these.")] = "",
    deadline: Annotated[
        str,
        typer.Option(
            metavar="DURATION", callback=_duration, help="From the slot to the reboot, at most."
        ),
    ] = "30m",
    healthy_timeout: Annotated[
        str,
        typer.Option(metavar="DURATION", callback=_duration, help="Until a reboot has failed."),
    ] = "10m",
    settle: Annotated[
        str,
        typer.Option(metavar="DURATION", callback=_duration, help="How long health must last."),
    ] = "10s",
    reboot_command: Annotated[
        str, typer.Option(help="Shell command that goes instead of logind's Reboot.")
    ] = "",
    notify_url: Annotated[
        str, typer.Option(help="Webhooks that get each event; several with semicolons.")
    ] = "",
    store_member: Annotated[
        str,
        typer.Option(
            metavar="auto|no|NAME", help="The store's member on this host; auto: by its addresses."
        ),
    ] = "auto",
    endpoints: options.Endpoints = cli.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    etcd_username: cli.Username = "",
    etcd_password: cli.Password = "",
    state_dir: options.StateDir = None,
    status_addr: options.StatusAddr = "127.0.0.1:2382",
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    drain_timeout: options.DrainS = 10.0,
    config: options.Config = None,  # noqa: ARG001 - read by its callback
    show_version: Annotated[  # noqa: ARG001 - answered by its callback
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            allow_from_autoenv=False,
            callback=cli.version_of(cli.DAEMON),
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Reboot this host when it needs it, and never more hosts of a group than have a slot.

    The slot comes from the semaphore that all hosts share, and goes back once the host is up
    again and healthy. Dates and durations: `Sat,Sun 1:00+90m`, `2026-12-24..2027-01-02`, `1h30m`.
    """
    # Here, so that --help need not wait for the event loop.
    from daemonkit.process import lifecycle
    from locksmith.daemon import Locksmith

    logs.configure(log_level, log_format)
    remote = Remote(endpoints, (ca_file, cert_file, key_file), (etcd_username, etcd_password))
    if users not in {"wait", "ignore"}:
        raise typer.BadParameter(f"--users {users!r}: write wait or ignore")
    try:
        host = identity.read()
        calendar = _said(
            lambda: Calendar(
                _zone(time_zone),
                tuple(parse_window(each) for each in split(window)),
                tuple(parse_excluded(each) for each in listed(exclude)),
                parse_duration(window_remaining),
                parse_duration(spread),
            )
        )
        rules = Rules(
            strategy,
            calendar,
            _share(host),
            parse_duration(max_deferral) if max_deferral else None,
            parse_duration(best_effort_wait).total_seconds(),
            failure_budget,
        )
        settings = Settings(
            group or "",
            status_addr,
            state_dir,
            cli.version(),
            rules,
            Sources(tuple(map(Path, listed(sentinel))), _probes(probe), need_command),
            Gates(
                listed(gate_command),
                listed(gate_url),
                prometheus_url,
                ignore_alerts,
                users == "ignore",
            ),
            Care(
                hooks_dir,
                _seconds(hook_timeout),
                _seconds(healthy_timeout),
                _seconds(settle),
                parse_duration(deadline),
                reboot_command,
                priority,
                reclaim_lost,
            ),
            _neighbours(remote, store_member),
            listed(notify_url),
        )
        code = lifecycle.run(Locksmith(remote.open(), host, settings), drain_s=drain_timeout)
    except (StoreError, NoIdentity) as error:
        raise options.Failure(str(error)) from error
    raise typer.Exit(code)


def _seconds(text: str) -> float:
    return parse_duration(text).total_seconds()


def _said(read: Callable[[], T]) -> T:
    try:
        return read()
    except BadWindow as error:
        raise typer.BadParameter(str(error)) from None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else _local_zone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(
            f"--time-zone {name!r}: write an IANA name, Europe/Berlin"
        ) from None


def _local_zone() -> tzinfo:
    """Return the zone of /etc/localtime, with its changes of the clocks."""
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def _share(host: Host) -> float:
    """Return this host's place in a spread: the same in each window, another for each host."""
    return int.from_bytes(host.machine_id.encode()[-4:], "big") % 1000 / 1000


def _probes(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(",") if part.strip()) - {"none"}
    if unknown := names - set(PROBES):
        raise typer.BadParameter(f"--probe {min(unknown)!r}: there are {', '.join(PROBES)}, none")
    return names


def _neighbours(remote: Remote, who: str) -> Neighbours:
    addresses = frozenset(
        address.address.partition("%")[0]
        for found in psutil.net_if_addrs().values()
        for address in found
        if not address.address.startswith(("127.", "::1"))
    )
    files = [str(path or "") for path in remote.files]
    endpoints = tuple(url.strip() for url in remote.endpoints.split(","))
    return Neighbours(endpoints, who, addresses, (files[0], files[1], files[2]))
