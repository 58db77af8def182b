"""`slashetc token`, `evict` and `user`: who is in the fleet, and who is not."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemonkit import options
from daemonkit.core import durations
from slashetc.ctl.failures import explained
from slashetc.ctl.host_commands import CONFIG_DIR, ConfigDir

if TYPE_CHECKING:
    from coordinator.client import Store
    from slashetc.store.cluster_api import ClusterApi

user_app = options.program("People of the fleet: their credentials and roles.")
Credentials = Annotated[
    Path | None,
    typer.Option("--credentials", show_default="~/.config/slashetc", help="Your credentials."),
]
ENDPOINTS = ""


def token(  # noqa: PLR0913 - typer reads options from parameters
    host: Annotated[list[str], typer.Option("--host", help="Name of the host that joins.")],
    *,
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="TIME", help="How long the token is valid: 30m, 2h, 7d.")
    ] = "1h",
    member: Annotated[
        bool | None,
        typer.Option(
            "--member/--no-member",
            show_default="while there are fewer than three",
            help="Whether the host becomes a member of the store.",
        ),
    ] = None,
    url: Annotated[
        str, typer.Option("--url", help="Agent that the host reaches.", show_default="a member's")
    ] = "",
    credentials: Credentials = None,
    endpoints: options.Endpoints = ENDPOINTS,
) -> None:
    """Print the line that lets a host join, once, under one name.

    The token is signed with your signing key. It has the hash of the authority's certificate, so
    the host tells the fleet from others.
    """
    from slashetc.core.tokens import TTL_S_MAX
    from slashetc.host.places import NotInFleet, Places
    from slashetc.join import credentials as own
    from slashetc.join.tokens_made import agent_urls, join_line

    ttl_s = _duration(ttl, "--ttl")
    if not 0 < ttl_s <= TTL_S_MAX:
        raise typer.BadParameter(f"--ttl {ttl}: a token is valid for up to 7 days")
    with explained():
        agents = [url] if url else agent_urls(endpoints)
        if not agents:
            try:
                agents = agent_urls(",".join(Places(CONFIG_DIR).read().endpoints))
            except NotInFleet:
                raise options.Failure(
                    "no member of the store is known: give --url https://HOST:2378, or --endpoints"
                ) from None
        for each in host:
            line = join_line(
                credentials or own.own_directory(), agents, each, ttl_s=ttl_s, member=member
            )
            typer.echo(line)


def evict(  # noqa: PLR0913 - typer reads options from parameters
    host: Annotated[str, typer.Argument(metavar="[HOST]", help="A host.")] = "",
    *,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="A person.")] = "",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Put a host, or a person, out of the fleet: every certificate is refused within seconds.

    Open connections are closed, too. A host whose member of the store is gone loses its vote. Jobs
    that a person has signed run on, but start nowhere again until somebody else signs them.
    """
    from slashetc.join import evicting

    if bool(host) == bool(user):
        raise typer.BadParameter("name one host, or one person with --user")
    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, api):
        if user:
            evicting.evict_user(store, api, user, time.time())
        else:
            evicting.evict_host(store, api, host, time.time())
    typer.echo(f"{user or host} is out: no host of the fleet accepts its certificates any more")


@user_app.command("add")
def add(  # noqa: PLR0913 - typer reads options from parameters
    name: Annotated[str, typer.Argument(help="Name of the person, as `alice`.")],
    *,
    role: Annotated[
        str, typer.Option("--role", metavar="viewer|operator|admin", help="What they may do.")
    ] = "viewer",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the credentials.", show_default="./NAME.slashetc"),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(
            "--authority-dir", help="Directory of the authority.", show_default="this host's"
        ),
    ] = None,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Make the credentials of a person, where the authority's key is.

    Copy the folder to ~/.config/slashetc of the person, and remove it here: with it anybody is that
    person.
    """
    from slashetc.join import people

    folder = out or Path(f"{name}.slashetc")
    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, api):
        people.add(
            people.NewPerson(name, role, folder, authority or config_dir / "authority"), store, api
        )
    typer.echo(
        f"{folder}: the credentials of {name}: copy it to ~/.config/slashetc, remove it here"
    )


@user_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the person.")],
    *,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Take the credentials of a person back; the same as `slashetc evict --user NAME`."""
    evict("", user=name, endpoints=endpoints, ca_file=ca_file, cert_file=cert_file,
          key_file=key_file)  # fmt: skip


@contextmanager
def open_store(
    endpoints: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> "Iterator[tuple[Store, ClusterApi]]":
    """Open the store, and its API of users and members."""
    from coordinator.client import Tls, connect
    from slashetc.store.cluster_api import ClusterApi

    if not endpoints:
        raise options.Failure(
            "no store is known here: run this where your credentials are in ~/.config/slashetc, "
            "or give --endpoints, --ca-file, --cert-file and --key-file"
        )
    tls = Tls(*(str(path or "") for path in (ca_file, cert_file, key_file)))
    urls = [url.strip() for url in endpoints.split(",")]
    with connect(urls, tls=tls) as store, ClusterApi(urls, tls) as api:
        yield store, api


def _duration(text: str, option: str) -> float:
    try:
        return durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text}: {error}") from None
