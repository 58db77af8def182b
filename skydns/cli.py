"""The console script `skydns`."""

from typing import Annotated, NoReturn

import typer

from daemonkit import logs, options
from skydns import name as names
from skydns.name import Name
from skydns.settings import Settings

app = typer.Typer(add_completion=False)

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


@app.command()
def skydns(  # noqa: PLR0913 - one parameter an option
    *,
    addr: Addr = "127.0.0.1:53",
    domain: Domain = "skydns.local.",
    hostmaster: Hostmaster = "",
    path_prefix: PathPrefix = "skydns",
    round_robin: RoundRobin = True,
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
) -> int:
    """Answer DNS from the services below a prefix of the store."""
    from skydns.daemon import Options, run

    logs.configure(log_level, log_format)
    settings = Settings(
        domains=tuple(_name(each, "--domain") for each in domain.split(",")),
        prefix=_prefix(path_prefix),
        hostmaster=_mailbox(hostmaster),
        ttl_s=ttl,
        negative_ttl_s=min_ttl,
        round_robin=round_robin,
    )
    daemon = Options(
        addresses=tuple(options.parse_address(each.strip()) for each in addr.split(",")),
        settings=settings,
        endpoints=endpoints,
        tls=(ca_file, cert_file, key_file),
        state_dir=state_dir,
        status_addr=status_addr,
        workers=workers,
        log_level=log_level,
        log_format=log_format,
    )
    return run(daemon, drain_s=drain_timeout)


def _name(text: str, option: str) -> Name:
    try:
        return names.parse(text.strip())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _prefix(text: str) -> str:
    path = text.strip("/")
    if not path or not all(path.split("/")):
        raise typer.BadParameter(
            f"{text!r} is no path: name at least one segment, as in skydns",
            param_hint="--path-prefix",
        )
    return "/" + path


def _mailbox(text: str) -> Name:
    """Turn `dns.admin@example.org` into a name: all before the @ is one label (RFC 1035, 8)."""
    if not text:
        return ()
    user, at, domain = text.rpartition("@")
    rest = _name(domain, "--hostmaster")
    mailbox = (user.lower().encode(), *rest) if at else rest
    if problem := names.excess(mailbox) or ("" if user or not at else "nothing before the @"):
        raise typer.BadParameter(f"{text!r} is no mailbox: {problem}", param_hint="--hostmaster")
    return mailbox


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "skydns")
