"""The console script `skydns`."""

import platform
from collections.abc import Callable
from typing import Annotated, NoReturn, TypeVar

import typer

from daemonkit import options
from daemonkit.observe import logs
from skydns.core import rrl
from skydns.core import store_config as configs
from skydns.core.config import Settings
from skydns.core.dns import name as names

S = TypeVar("S")
T = TypeVar("T")
NODE = platform.node()
app = options.program("Answer DNS from keys of the store.")

Addr = Annotated[
    str,
    typer.Option(
        "--addr", metavar="HOST:PORT,...", help="Addresses to answer on, over UDP and TCP."
    ),
]
Domain = Annotated[
    str, typer.Option("--domain", metavar="NAME,...", help="Domains to be the authority for.")
]
Hostmaster = Annotated[
    str,
    typer.Option(
        "--hostmaster", metavar="MAILBOX", help="Mailbox in SOA; hostmaster@DOMAIN without it."
    ),
]
PathPrefix = Annotated[
    str, typer.Option("--path-prefix", metavar="PATH", help="Where the services' keys are.")
]
RoundRobin = Annotated[
    bool, typer.Option("--round-robin/--no-round-robin", help="Turn the order of addresses.")
]
Ttl = Annotated[
    int,
    typer.Option("--ttl", metavar="SECONDS", min=1, max=86_400, help="TTL where a key has none."),
]
MinTtl = Annotated[
    int,
    typer.Option(
        "--min-ttl", metavar="SECONDS", min=0, max=86_400, help='TTL of "no such name or data".'
    ),
]
Local = Annotated[
    str, typer.Option("--local", metavar="NAME", help="What local.dns.DOMAIN stands for.")
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
        help="What id.server and NSID say; empty: nothing.",
    ),
]
Nameservers = Annotated[
    str,
    typer.Option(
        "--nameservers", metavar="HOST:PORT,...", help="Whom to ask for other names; nobody."
    ),
]
NsRotate = Annotated[
    bool, typer.Option("--ns-rotate/--no-ns-rotate", help="Ask nameservers in turn.")
]
Ndots = Annotated[
    int,
    typer.Option("--ndots", min=0, max=127, help="Names with fewer labels are not asked for."),
]
AllowQuery = Annotated[
    str,
    typer.Option("--allow-query", metavar="NETWORK,...", help="Who may ask; empty: everybody."),
]
AllowRecursion = Annotated[
    str,
    typer.Option(
        "--allow-recursion",
        metavar="NETWORK,...",
        help="Whose questions may go to nameservers and stub zones.",
    ),
]
RateLimit = Annotated[
    int,
    typer.Option(
        "--rate-limit",
        metavar="N",
        min=0,
        max=1_000_000,
        help="Equal UDP answers a second to one network; 0 for any number.",
    ),
]
LameDuck = Annotated[
    float,
    typer.Option(
        "--lame-duck",
        metavar="SECONDS",
        min=0.0,
        max=60.0,
        help="How long to answer on after /ready says no.",
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
    identity: Identity = NODE,
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
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    config: options.Config = None,  # noqa: ARG001 - its callback has read the file
) -> None:
    """Answer DNS from the services below a prefix of the store."""
    from skydns.daemon import Options, run

    logs.configure(log_level, log_format)
    settings = Settings(
        domains=tuple(_read(names.parse, each.strip(), "--domain") for each in domain.split(",")),
        prefix=_prefix(path_prefix),
        hostmaster=_read(configs.mailbox, hostmaster, "--hostmaster"),
        ttl_s=ttl,
        negative_ttl_s=min_ttl,
        round_robin=round_robin,
        local=_read(names.parse, local, "--local") if local else (),
        apex_sweep=apex_sweep,
        identity=identity[: configs.IDENTITY_CHARACTERS_MAX],
        nameservers=tuple(
            _read(configs.server, each, "--nameservers") for each in _listed(nameservers)
        ),
        ns_rotate=ns_rotate,
        ndots=ndots,
        clients=_networks(allow_query, "--allow-query"),
        recursion=_networks(allow_recursion, "--allow-recursion"),
        rate=rate_limit,
    )
    daemon = Options(
        addresses=tuple(options.parse_address(each.strip()) for each in addr.split(",")),
        settings=settings,
        endpoints=endpoints,
        tls=(ca_file, cert_file, key_file),
        state_dir=state_dir,
        status_addr=status_addr,
        workers=workers,
        lame_duck_s=lame_duck,
        log_level=log_level,
        log_format=log_format,
    )
    raise typer.Exit(run(daemon, drain_s=drain_timeout + lame_duck))


def _read(read: Callable[[S], T], given: S, option: str) -> T:
    try:
        return read(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _networks(text: str, option: str) -> tuple[str, ...]:
    return tuple(str(each) for each in _read(rrl.networks, _listed(text), option))


def _prefix(text: str) -> str:
    path = text.strip("/")
    if not path or not all(path.split("/")):
        raise typer.BadParameter(
            f"{text!r} is no path: name at least one segment, as in skydns",
            param_hint="--path-prefix",
        )
    return "/" + path


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "skydns")
