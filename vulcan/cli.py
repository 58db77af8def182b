"""The console script `vulcand`."""

import socket
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from daemonkit import options
from daemonkit.observe import logs

app = options.program("HTTP reverse proxy configured by keys of the store.")

Interface = Annotated[
    str, typer.Option("--interface", metavar="ADDRESS", help="Address to serve on.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to serve on.")]
ApiInterface = Annotated[
    str,
    typer.Option(
        "--api-interface", "--apiInterface", metavar="ADDRESS", help="Address of the API."
    ),
]
ApiPort = Annotated[
    int, typer.Option("--api-port", "--apiPort", min=0, max=65535, help="Port of the API.")
]
Prefix = Annotated[
    str, typer.Option("--prefix", "--etcdKey", metavar="PATH", help="Where the proxy's keys are.")
]


ApiToken = Annotated[
    Path | None,
    typer.Option(
        "--api-token-file", metavar="FILE", help="Token that the API asks for; none without it."
    ),
]
SealKey = Annotated[
    str,
    typer.Option(
        "--seal-key",
        "--sealKey",
        metavar="HEX,...",
        help="Keys that open hosts' key pairs; the first one seals. Better in the environment.",
    ),
]
AccessLog = Annotated[
    str,
    typer.Option("--access-log", metavar="FILE", help="A line a request; - is standard output."),
]
AccessLogFormat = Annotated[
    Literal["json", "combined"],
    typer.Option("--access-log-format", help="Form of the access log; Apache's is combined."),
]
DefaultListener = Annotated[
    bool,
    typer.Option(
        "--default-listener/--no-default-listener", help="Whether --interface and --port serve."
    ),
]
Aliases = Annotated[
    str,
    typer.Option(
        "--aliases",
        metavar="TEXT=OTHER,...",
        help="Routes with TEXT are there with OTHER in its place, too.",
    ),
]
Node = Annotated[
    str,
    typer.Option(
        "--node", metavar="NAME", help="What `vctl status` calls this node; else the host's name."
    ),
]
ClientConnections = Annotated[
    int,
    typer.Option(
        "--client-connections",
        min=0,
        metavar="N",
        help="How many a worker takes from one address; 0 is no bound, as behind a balancer.",
    ),
]
CompatOrder = Annotated[
    Literal["specific", "vulcand"],
    typer.Option("--compat-order", help="Which of several routes goes first."),
]


@app.command()
def vulcand(  # noqa: PLR0913 - one parameter an option
    *,
    interface: Interface = "127.0.0.1",
    port: Port = 8181,
    api_interface: ApiInterface = "127.0.0.1",
    api_port: ApiPort = 8182,
    api_token_file: ApiToken = None,
    prefix: Prefix = "vulcand",
    default_listener: DefaultListener = True,
    compat_order: CompatOrder = "specific",
    aliases: Aliases = "",
    seal_key: SealKey = "",
    access_log: AccessLog = "",
    access_log_format: AccessLogFormat = "json",
    endpoints: options.Endpoints = "http://127.0.0.1:2379",
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    state_dir: options.StateDir = None,
    workers: options.Workers = 1,
    client_connections: ClientConnections = 0,
    drain_timeout: options.DrainS = 30.0,
    status_addr: options.StatusAddr = "127.0.0.1:2385",
    node: Node = "",
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    config: options.Config = None,  # noqa: ARG001 - its callback has read the file
) -> None:
    """Forward HTTP requests by the frontends, backends and servers below a prefix."""
    from coordinator.client import StoreError, Tls
    from vulcan.core.config.secretbox import SealError, SealKeys, parse_key
    from vulcan.daemon import run
    from vulcan.settings import Settings

    logs.configure(log_level, log_format)
    try:
        settings = Settings(
            address=(interface, port) if default_listener else None,
            api_address=(api_interface, api_port),
            api_token=api_token_file.read_text().strip() if api_token_file else "",
            prefix="/" + prefix.strip("/"),
            bytewise=compat_order == "vulcand",
            aliases=_aliases(aliases),
            seal=SealKeys(tuple(parse_key(key) for key in seal_key.split(",") if key)),
            access_log=access_log,
            combined=access_log_format == "combined",
            endpoints=endpoints,
            tls=Tls(*(str(path or "") for path in (ca_file, cert_file, key_file))),
            state_dir=state_dir,
            status_addr=status_addr,
            workers=workers,
            client_connections=client_connections,
            drain_s=drain_timeout,
            log_level=log_level,
            log_format=log_format,
            node=node or socket.gethostname(),
            version=_version(),
        )
        code = run(settings)
    except (StoreError, SealError) as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from None
    except OSError as error:
        raise options.Failure(f"{error.filename}: {error.strerror}") from None
    raise typer.Exit(code)


def _aliases(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    for old, equals, new in pairs:
        if not old or not equals or not new:
            raise options.Failure(f"--aliases: {old!r} is not TEXT=OTHER", options.EXIT_USAGE)
    return tuple((old, new) for old, _, new in pairs)


def _version() -> str:
    try:
        return metadata.version("slashetc")
    except metadata.PackageNotFoundError:  # in a checkout that is not installed
        return "unknown"


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "vulcand")
