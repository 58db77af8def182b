"""The console script `skydns`."""

import os
from collections.abc import Callable
from typing import Annotated, NoReturn, TypeVar

import typer

from daemonkit import options
from skydns.core import acl, store_config
from skydns.core.config import Config
from skydns.core.dns import name as names

S = TypeVar("S")
T = TypeVar("T")
HOSTNAME = os.uname().nodename
app = options.program("Answer DNS queries from keys of the store.")

Addr = Annotated[
    str,
    typer.Option(
        "--addr", metavar="HOST:PORT,...", help="Addresses to answer on, over UDP and TCP."
    ),
]
Domain = Annotated[
    str, typer.Option("--domain", metavar="NAME,...", help="Domains to be authoritative for.")
]
Hostmaster = Annotated[
    str,
    typer.Option(
        "--hostmaster",
        metavar="MAILBOX",
        help="Mailbox in the SOA record; the default is hostmaster@DOMAIN.",
    ),
]
PathPrefix = Annotated[
    str, typer.Option("--path-prefix", metavar="PATH", help="Path of the services' keys.")
]
RoundRobin = Annotated[
    bool,
    typer.Option(
        "--round-robin/--no-round-robin", help="Rotate the order of addresses in answers."
    ),
]
Ttl = Annotated[
    int,
    typer.Option(
        "--ttl", metavar="SECONDS", min=1, max=86_400, help="TTL of keys that do not set one."
    ),
]
MinTtl = Annotated[
    int,
    typer.Option(
        "--min-ttl", metavar="SECONDS", min=0, max=86_400, help="TTL of NXDOMAIN and NODATA."
    ),
]
Local = Annotated[
    str,
    typer.Option("--local", metavar="NAME", help="Name whose records local.dns.DOMAIN returns."),
]
ApexSweep = Annotated[
    bool,
    typer.Option("--apex-sweep", help="Answer for a domain itself with all services in it."),
]
Identity = Annotated[
    str,
    typer.Option(
        "--identity",
        metavar="TEXT",
        show_default="this host's name",
        help="Text to send for id.server and NSID; empty to send none.",
    ),
]
Nameservers = Annotated[
    str,
    typer.Option(
        "--nameservers",
        metavar="HOST:PORT,...",
        help="DNS servers to forward all other names to; by default none.",
    ),
]
NsRotate = Annotated[
    bool, typer.Option("--ns-rotate/--no-ns-rotate", help="Ask the nameservers in rotation.")
]
Ndots = Annotated[
    int,
    typer.Option(
        "--ndots", min=0, max=127, help="Do not forward names with fewer labels than this."
    ),
]
AllowQuery = Annotated[
    str,
    typer.Option(
        "--allow-query",
        metavar="NETWORK,...",
        help="Networks whose queries are answered; empty for all.",
    ),
]
AllowRecursion = Annotated[
    str,
    typer.Option(
        "--allow-recursion",
        metavar="NETWORK,...",
        help="Networks whose queries may be forwarded to nameservers and stub zones.",
    ),
]
RateLimit = Annotated[
    int,
    typer.Option(
        "--rate-limit",
        metavar="N",
        min=0,
        max=1_000_000,
        help="Limit of equal answers a second to one network over UDP; 0 for none.",
    ),
]
LameDuck = Annotated[
    float,
    typer.Option(
        "--lame-duck",
        metavar="SECONDS",
        min=0.0,
        max=60.0,
        help="How long to keep answering after /ready fails, before exit.",
    ),
]


@app.command()
def skydns(  # noqa: PLR0913 - one parameter an option
    *,
    addr: Addr = "127.0.0.1:53",
    domain: Domain = "skydns.local.",
    hostmaster: Hostmaster = "",
    path_prefix: PathPrefix = "skydns",
    round_robin: RoundRobin = True,
    local: Local = "",
    apex_sweep: ApexSweep = False,
    identity: Identity = HOSTNAME,
    nameservers: Nameservers = "",
    ns_rotate: NsRotate = True,
    ndots: Ndots = 2,
    allow_query: AllowQuery = "",
    allow_recursion: AllowRecursion = "127.0.0.0/8,::1/128",
    rate_limit: RateLimit = 0,
    lame_duck: LameDuck = 3.0,
    ttl: Ttl = 3600,
    min_ttl: MinTtl = 10,
    endpoints: options.Endpoints = "http://127.0.0.1:2379",
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    state_dir: options.StateDir = None,
    workers: options.Workers = 1,
    drain_timeout: options.DrainS = 10.0,
    status_addr: options.StatusAddr = "127.0.0.1:2383",
    status_tls: options.StatusTls = "off",
    require_tls: options.RequireTls = False,  # noqa: ARG001 - its callback has taken it
    revoked_file: options.RevokedFile = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    config: options.Config = None,  # noqa: ARG001 - its callback has read the file
) -> None:
    """Answer DNS queries from the services below a prefix of the store."""
    answers = Config(
        domains=tuple(_read(names.parse, each.strip(), "--domain") for each in domain.split(",")),
        prefix=_prefix(path_prefix),
        hostmaster=_read(store_config.mailbox, hostmaster, "--hostmaster"),
        ttl_s=ttl,
        negative_ttl_s=min_ttl,
        round_robin=round_robin,
        local=_read(names.parse, local, "--local") if local else (),
        apex_sweep=apex_sweep,
        identity=identity[: store_config.IDENTITY_CHARACTERS_MAX],
        nameservers=tuple(
            _read(store_config.server, each, "--nameservers") for each in _listed(nameservers)
        ),
        ns_rotate=ns_rotate,
        ndots=ndots,
        clients=_networks(allow_query, "--allow-query"),
        recursion=_networks(allow_recursion, "--allow-recursion"),
        rate=rate_limit,
    )
    from daemonkit.observe import logs
    from skydns.daemon import run
    from skydns.settings import Settings

    logs.configure(log_level, log_format)
    settings = Settings(
        addresses=tuple(options.parse_address(each.strip(), "--addr") for each in addr.split(",")),
        config=answers,
        endpoints=endpoints,
        tls=(ca_file, cert_file, key_file),
        state_dir=state_dir,
        status_addr=status_addr,
        status_tls=options.identity_files(
            "--status-tls", status_tls, (ca_file, cert_file, key_file), revoked_file
        ),
        workers=workers,
        lame_duck_s=lame_duck,
        log_level=log_level,
        log_format=log_format,
    )
    raise typer.Exit(run(settings, drain_s=drain_timeout + lame_duck))


def _read(read: Callable[[S], T], given: S, option: str) -> T:
    try:
        return read(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _networks(text: str, option: str) -> tuple[str, ...]:
    return tuple(str(each) for each in _read(acl.networks, _listed(text), option))


def _prefix(text: str) -> str:
    path = text.strip("/")
    if not path or not all(path.split("/")):
        raise typer.BadParameter(
            f"{text!r} is not a path: write at least one segment, such as skydns",
            param_hint="--path-prefix",
        )
    return "/" + path


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "skydns")
