"""The program `fleetd`: its options."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemonkit import options
from fleet.settings import (
    AGENT_TTL_MAX_S,
    AGENT_TTL_MIN_S,
    AGENT_TTL_S,
    ENDPOINTS,
    GRACE_S,
    STATE_DIR,
    DriverName,
    FleetdSettings,
    StoreSettings,
)

DAEMON = "fleetd"
app = options.program(
    "Run a fleet of jobs: the scheduler places them on hosts, the agent of a host runs them."
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `fleetd`."""
    options.run(app, DAEMON, argv)


def parse_labels(given: Sequence[str]) -> dict[str, str]:
    """Parse `key=value,key=value`, given once or repeated."""
    from fleet.core.jobs import selector

    found = {}
    for word in (word for text in given for word in text.split(",") if word):
        key, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"{word!r} is not a label: write key=value")
        try:
            selector.checked_label(key, value)
        except selector.SelectorError as error:
            raise typer.BadParameter(str(error)) from None
        found[key] = value
    return found


def _check_grace(seconds: float) -> float:
    """Refuse a grace shorter than an exclusive unit may run on a partitioned host."""
    from fleet.core.instances.instance_unit import GRACE_MIN_S

    if seconds < GRACE_MIN_S:
        raise typer.BadParameter(
            f"{seconds:g} s is too short: an exclusive unit on a host that is cut off may need "
            f"{GRACE_MIN_S:g} s to stop. Give at least {GRACE_MIN_S:g} s; to lose hosts faster, "
            "lower --agent-ttl"
        )
    return seconds


AgentRole = Annotated[
    bool,
    typer.Option(
        "--agent", help="Run the agent, which makes this host follow its plan. Needs root."
    ),
]
SchedulerRole = Annotated[
    bool,
    typer.Option("--scheduler", help="Run a scheduler. Only one scheduler, the leader, is active."),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="K=V", help="Labels of this host, such as region=eu."),
]
PublicIp = Annotated[
    str,
    typer.Option(
        "--public-ip",
        help="Address at which others reach this host; by default the one towards the store.",
    ),
]
SystemdDriverName = Annotated[
    DriverName, typer.Option("--driver", help="How the agent talks to systemd.")
]
TrustedKeys = Annotated[
    Path | None,
    typer.Option(
        "--trusted-keys",
        help="Directory of PEM public keys: do only what one of them has signed. Files may come "
        "and go at any time; an empty directory trusts nobody.",
    ),
]
AgentStateDir = Annotated[Path, typer.Option("--state-dir", help="Directory of the agent's state.")]
NoExec = Annotated[
    bool, typer.Option("--no-exec", help="Refuse to run commands of `fleetctl exec`.")
]
AgentTtl = Annotated[
    int,
    typer.Option(
        "--agent-ttl",
        metavar="SECONDS",
        min=AGENT_TTL_MIN_S,
        max=AGENT_TTL_MAX_S,
        help="A host that is silent for this long is suspect.",
    ),
]
Grace = Annotated[
    float,
    typer.Option(
        "--grace",
        metavar="SECONDS",
        callback=_check_grace,
        help="A host that stays suspect for this long is lost; at least 20.",
    ),
]


@app.command()
def serve(  # noqa: PLR0913 - typer reads options from parameters
    *,
    agent: AgentRole = False,
    scheduler: SchedulerRole = False,
    metadata: Metadata = None,
    public_ip: PublicIp = "",
    driver: SystemdDriverName = DriverName.DBUS,
    trusted_keys: TrustedKeys = None,
    no_exec: NoExec = False,
    agent_ttl: AgentTtl = AGENT_TTL_S,
    grace: Grace = GRACE_S,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    state_dir: AgentStateDir = STATE_DIR,
    status_addr: options.StatusAddr = "127.0.0.1:2386",
    status_tls: options.StatusTls = "off",
    require_tls: options.RequireTls = False,  # noqa: ARG001 - its callback has taken it
    revoked_file: options.RevokedFile = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    drain_timeout: options.DrainS = 10.0,
    config: options.Config = None,  # noqa: ARG001 - read by its callback
    show_version: options.ShowVersion = False,  # noqa: ARG001 - answered by its callback
) -> None:
    """Run the scheduler, the agent, or both. Without --agent and --scheduler, run both.

    When fleetd stops, no unit stops: only a newer plan stops units.
    """
    from daemonkit.observe import logs
    from fleet import daemon

    logs.configure(log_level, log_format)
    settings = FleetdSettings(
        store=StoreSettings(endpoints, ca_file, cert_file, key_file),
        has_agent=agent or not scheduler,
        has_scheduler=scheduler or not agent,
        labels=parse_labels(metadata or []),
        public_ip=public_ip,
        driver=driver,
        trusted_keys=trusted_keys,
        may_exec=not no_exec,
        agent_ttl_s=agent_ttl,
        grace_s=grace,
        state_dir=state_dir,
        status_addr=status_addr,
        status_tls=options.identity_files(
            "--status-tls", status_tls, (ca_file, cert_file, key_file), revoked_file
        ),
    )
    raise typer.Exit(daemon.run(settings, drain_timeout))
