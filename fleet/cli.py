"""The program `fleetd`."""

import os
import socket
import uuid
from collections.abc import Callable, Sequence
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from coordinator.client import Tls, connect
from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Store
from daemonkit import options
from daemonkit.observe import logs
from fleet.core.instances.instance_unit import GRACE_MIN_S
from fleet.core.jobs import selector

if TYPE_CHECKING:  # imported where they run, so that --help is fast
    from fleet.agent.agent import Agent
    from fleet.scheduler.scheduler import Scheduler

DAEMON = "fleetd"
ENDPOINTS = "http://127.0.0.1:2379"
STATE_DIR = Path("/var/lib/fleet")
# A status key lives so long without its agent; a scheduler's lease half of it.
TTL_S, TTL_MIN_S, TTL_MAX_S = 30, 5, 3600
GRACE_S = 60.0
LEASE_S = 15


class Driver(Enum):
    """How the agent talks to systemd."""

    DBUS = "dbus"
    SYSTEMCTL = "systemctl"


app = options.program("Run what the store says should run: the scheduler, and the agent of a host.")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `fleetd`."""
    options.run(app, DAEMON, argv)


def version() -> str:
    """Return the installed version; "unknown" in a checkout that is not installed."""
    try:
        return metadata.version("slashetc")
    except metadata.PackageNotFoundError:
        return "unknown"


def show_version_of(program: str) -> Callable[[bool], None]:
    """Return the callback of --version."""

    def show(wanted: bool) -> None:  # noqa: FBT001 - the form of typer's callbacks
        if wanted:
            typer.echo(f"{program} version {version()}")
            raise typer.Exit

    return show


def opened(endpoints: str, files: tuple[Path | None, Path | None, Path | None]) -> Store:
    """Return the store that the options name; nothing is asked of it yet."""
    tls = Tls(*(str(path or "") for path in files))
    return connect([url.strip() for url in endpoints.split(",")], tls=tls)


def labels(texts: Sequence[str]) -> dict[str, str]:
    """Read `key=value,key=value` and `key=value` repeated."""
    found = {}
    for word in (word for text in texts for word in text.split(",") if word):
        key, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"{word!r} is no label: write key=value")
        try:
            selector.checked_label(key, value)
        except selector.SelectorError as error:
            raise typer.BadParameter(str(error)) from None
        found[key] = value
    return found


def _grace(seconds: float) -> float:
    """Refuse a grace within which an exclusive unit may still run on a host that is cut off."""
    if seconds < GRACE_MIN_S:
        raise typer.BadParameter(
            f"{seconds:g} s is too short: an exclusive unit on a host that is cut off may take "
            f"{GRACE_MIN_S:g} s to end; give at least that, and for a faster loss of hosts "
            "lower --agent-ttl"
        )
    return seconds


@app.command()
def serve(  # noqa: PLR0913 - typer reads options from parameters
    *,
    agent: Annotated[
        bool, typer.Option("--agent", help="Run this host's part of the plan; needs root.")
    ] = False,
    scheduler: Annotated[
        bool, typer.Option("--scheduler", help="Stand for scheduler; one of all leads.")
    ] = False,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="K=V", help="Labels of this host, as region=eu."),
    ] = None,
    public_ip: Annotated[
        str, typer.Option(help="Where others reach this host; found out unless given.")
    ] = "",
    driver: Annotated[Driver, typer.Option(help="How to talk to systemd.")] = Driver.DBUS,
    trusted_keys: Annotated[
        Path | None,
        typer.Option(help="Directory of PEM public keys; run only what one of them signed."),
    ] = None,
    no_exec: Annotated[
        bool, typer.Option("--no-exec", help="Refuse the commands of fleetctl exec.")
    ] = False,
    agent_ttl: Annotated[
        int,
        typer.Option(
            metavar="SECONDS", min=TTL_MIN_S, max=TTL_MAX_S, help="Silence that is suspect."
        ),
    ] = TTL_S,
    grace: Annotated[
        float,
        typer.Option(metavar="SECONDS", callback=_grace, help="From suspect to lost; 20 at least."),
    ] = GRACE_S,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    state_dir: options.StateDir = STATE_DIR,
    status_addr: options.StatusAddr = "127.0.0.1:2386",
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
            callback=show_version_of(DAEMON),
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Run what the store says should run. Without --agent or --scheduler it is both.

    The end of fleetd stops no unit: only a newer plan does.
    """
    from daemonkit.process import lifecycle
    from fleet.daemon import Fleetd, Role

    logs.configure(log_level, log_format)
    roles: dict[str, Role] = {}
    try:
        store = opened(endpoints, (ca_file, cert_file, key_file))
        if scheduler or not agent:
            roles["scheduler"] = _scheduler(store, grace)
        if agent or not scheduler:
            own = (public_ip, endpoints, labels(metadata or []))
            keeps = (state_dir or STATE_DIR, agent_ttl)
            roles["agent"] = _agent(store, own, keeps, driver, (trusted_keys, not no_exec))
    except (StoreError, OSError, ValueError) as error:
        raise options.Failure(str(error)) from error
    raise typer.Exit(lifecycle.run(Fleetd(roles, status_addr), drain_s=drain_timeout))


def _scheduler(store: Store, grace_s: float) -> "Scheduler":
    from fleet.scheduler.scheduler import Scheduler, Settings

    holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return Scheduler(store, Settings(holder, LEASE_S, grace_s))


def _agent(
    store: Store,
    own: tuple[str, str, dict[str, str]],
    keeps: tuple[Path, int],
    driver: Driver,
    allows: tuple[Path | None, bool],
) -> "Agent":
    from fleet.agent import facts
    from fleet.agent.agent import Agent, Settings
    from fleet.core.jobs import signing
    from fleet.systemd.dbus import DBusDriver
    from fleet.systemd.systemctl import SystemctlDriver

    address, endpoints, own_labels = own
    state_dir, ttl_s = keeps
    trusted, may_exec = allows
    address = address or facts.address_towards(endpoints)
    found = sorted(trusted.glob("*.pem")) if trusted else []
    if trusted and not found:
        raise OSError(f"{trusted} holds no *.pem key")
    settings = Settings(
        own=facts.read(address, own_labels, version()),
        boot_id=facts.boot_id(),
        state_dir=state_dir,
        ttl_s=ttl_s,
        trusted=tuple(signing.trusted(place.read_bytes()) for place in found),
        may_exec=may_exec,
    )
    return Agent(store, DBusDriver() if driver is Driver.DBUS else SystemctlDriver(), settings)
