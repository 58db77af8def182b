"""`slashetc init`, `join`, `leave` and `agent`: commands of one host."""

import datetime as dt
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from daemonkit.core import durations
from slashetc.ctl.failures import explained

CONFIG_DIR = Path("/etc/slashetc")
# A third of the lifetime is left for a renewal, also if the store is away for a while.
LIFETIME_MIN, LIFETIME_MAX = dt.timedelta(minutes=1), dt.timedelta(days=366)
ConfigDir = Annotated[
    Path, typer.Option("--config-dir", help="Directory of this host's files of the fleet.")
]
Address = Annotated[
    str,
    typer.Option(
        "--address", metavar="IP", help="Address at which other hosts reach this one.",
        show_default="the only one",
    ),
]  # fmt: skip
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="DAEMON", help="A daemon that does not run on this host."),
]


FleetName = Annotated[str, typer.Option("--fleet", show_default="fleet", help="Name of the fleet.")]
HostName = Annotated[
    str, typer.Option("--name", show_default="the host name", help="Name of this host.")
]
Domain = Annotated[str, typer.Option("--domain", help="Domain of the fleet's services in DNS.")]
Operator = Annotated[
    str,
    typer.Option(
        "--operator",
        metavar="NAME",
        show_default="$SUDO_USER, else admin",
        help="Who administers the fleet. The credentials are put into ~/.config/slashetc of that "
        "account, or of root.",
    ),
]
AuthorityPlace = Annotated[
    str,
    typer.Option(
        "--authority",
        metavar="here|offline",
        help="Where the key of the authority is: on this host, or in the operator's "
        "~/.config/slashetc/authority, to be taken away; then `slashetc authority sign` signs.",
    ),
]
NextHosts = Annotated[
    list[str] | None,
    typer.Option("--next", metavar="HOST", help="Print the line that lets this host join."),
]
AgentUrl = Annotated[
    str, typer.Argument(metavar="[URL]", help="Of a member's agent: https://HOST:2378.")
]
Token = Annotated[str, typer.Option("--token", help="What `slashetc token` printed for this host.")]
FromCredential = Annotated[
    bool,
    typer.Option(
        "--credential",
        help="Take URL and token from the systemd credential slashetc.join, or from the file join "
        "in the configuration directory.",
    ),
]
IsMember = Annotated[
    bool | None,
    typer.Option(
        "--member/--no-member",
        show_default="while there are fewer than three",
        help="Whether this host becomes a member of the store, if the token does not say so.",
    ),
]
WaitS = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0.0,
        help="Time to wait for a fleet that does not answer, or does not sign.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Leave even with the only key of the authority.")
]
Listen = Annotated[
    str,
    typer.Option("--listen", metavar="HOST:PORT", help="Address of the join endpoint of a member."),
]


HostLifetime = Annotated[
    str,
    typer.Option(
        "--host-lifetime",
        metavar="TIME",
        help="How long the certificates of hosts last, which renew at two thirds; where the "
        "authority's key is.",
    ),
]


def init(  # noqa: PLR0913 - typer reads options from parameters
    *,
    fleet: FleetName = "",
    name: HostName = "",
    address: Address = "",
    domain: Domain = "fleet.internal",
    operator: Operator = "",
    authority: AuthorityPlace = "here",
    next_hosts: NextHosts = None,
    without: Without = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Make a fleet with this host as its first: authority, store, roles, daemons, credentials.

    Doing it twice is harmless, and goes on where the first attempt ended.
    """
    from slashetc.host.places import Places
    from slashetc.join import founding
    from slashetc.join.credentials import directory_of
    from slashetc.join.founding import Founding
    from slashetc.join.tokens_made import join_line

    if authority not in {"here", "offline"}:
        raise typer.BadParameter(f"--authority {authority!r}: write here or offline")
    who = operator or _sudo_user() or "admin"
    offline = directory_of(who)[0] / "authority" if authority == "offline" else None
    with explained():
        made = founding.found(
            Founding(
                Places(config_dir), fleet, name, address, domain, who, tuple(without or ()),
                offline, tuple(next_hosts or ()),
            ),
            typer.echo,
        )  # fmt: skip
        typer.echo(f"credentials of {made.operator}: {made.credentials}")
        if offline is not None:
            typer.echo(
                f"authority's key: {offline}: take it away, keep the passphrase in it apart, and "
                "run `slashetc authority sign` where it is"
            )
        for host in next_hosts or []:
            typer.echo(join_line(made.credentials, [made.file.join_url], host))
        if not next_hosts:
            typer.echo("next host: run here `slashetc token --host NAME`, and there what it prints")


def join(  # noqa: PLR0913 - typer reads options from parameters
    url: AgentUrl = "",
    *,
    token: Token = "",
    credential: FromCredential = False,
    member: IsMember = None,
    address: Address = "",
    without: Without = None,
    wait: WaitS = 600.0,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Let this host join a fleet. Its keys never leave it.

    Doing it twice is harmless, and goes on where the first attempt ended.
    """
    from slashetc.host.places import Places
    from slashetc.join import joining, unattended
    from slashetc.join.joining import Joining

    with explained():
        if credential:
            found = unattended.read(config_dir, os.environ.get("CREDENTIALS_DIRECTORY", ""))
            if found is None:
                typer.echo("there is no credential slashetc.join: nothing to do")
                return
            url, token = found
        if not url or not token:
            raise typer.BadParameter("give the URL and --token, as `slashetc token` prints them")
        left_out = tuple(without or ())
        made = Joining(Places(config_dir), url, token, address, member, left_out, wait)
        if credential:  # nobody has typed the URL, and all machines may boot at once
            made = replace(made, reach_s=wait)
        joining.join(made, typer.echo)
        (config_dir / unattended.FILE).unlink(missing_ok=True)


def leave(*, force: Force = False, config_dir: ConfigDir = CONFIG_DIR) -> None:
    """Take this host out of its fleet: stop its daemons, and remove its keys.

    Drain the host first, by `fleetctl drain self`, if jobs run on it.
    """
    from slashetc.host.places import Places
    from slashetc.join import joining

    with explained():
        joining.leave(Places(config_dir), typer.echo, force=force)


def agent(  # noqa: PLR0913 - typer reads options from parameters
    *,
    listen: Listen = "0.0.0.0:2378",
    host_lifetime: HostLifetime = "30d",
    status_addr: options.StatusAddr = "127.0.0.1:2389",
    status_tls: options.StatusTls = "require",
    config_dir: ConfigDir = CONFIG_DIR,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    drain_timeout: options.DrainS = 10.0,
) -> None:
    """Keep this host in its fleet: renew its certificates, follow evictions and signers.

    On a member it lets hosts join; where the authority's key is, it signs.
    """
    from daemonkit.observe import logs
    from daemonkit.process import lifecycle
    from slashetc.agent.daemon import Agent, AgentSettings

    logs.configure(log_level, log_format)
    lifetime = _lifetime(host_lifetime)
    with explained():
        made = Agent(AgentSettings(config_dir, listen, status_addr, status_tls, lifetime))
    raise typer.Exit(lifecycle.run(made, drain_s=drain_timeout))


def _lifetime(text: str) -> dt.timedelta:
    try:
        found = dt.timedelta(seconds=durations.parse(text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--host-lifetime {text}: {error}") from None
    if not LIFETIME_MIN <= found <= LIFETIME_MAX:
        raise typer.BadParameter(f"--host-lifetime {text}: use 1m to 366d")
    return found


def _sudo_user() -> str:
    found = os.environ.get("SUDO_USER", "")
    return "" if found == "root" else found
