"""The console script `vulcand`."""

import socket
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from daemonkit import options
from daemonkit.observe import logs

app = options.program("HTTP reverse proxy that is configured by keys in the store.")

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
    str,
    typer.Option("--prefix", "--etcdKey", metavar="PATH", help="Prefix of the keys in the store."),
]


ApiTls = Annotated[
    options.TlsRequired,
    typer.Option(
        "--api-tls",
        help="Whether the API requires TLS and a certificate of the fleet: of a viewer to read, of "
        "an operator to change.",
    ),
]
ApiToken = Annotated[
    Path | None,
    typer.Option(
        "--api-token-file",
        metavar="FILE",
        help="File with the token that clients of the API must send; without it, none is needed.",
    ),
]
SealKey = Annotated[
    str,
    typer.Option(
        "--seal-key",
        "--sealKey",
        metavar="HEX,...",
        help="Keys that open the key pairs of hosts; the first one seals. Prefer "
        "VULCAND_SEAL_KEY: other users can read a command line.",
    ),
]
AccessLog = Annotated[
    str,
    typer.Option(
        "--access-log",
        metavar="FILE",
        help="File to log requests to, one per line; - is standard output.",
    ),
]
AccessLogFormat = Annotated[
    Literal["json", "combined"],
    typer.Option("--access-log-format", help="Format of the access log; combined is Apache's."),
]
DefaultListener = Annotated[
    bool,
    typer.Option(
        "--default-listener/--no-default-listener",
        help="Whether to serve on --interface and --port.",
    ),
]
Aliases = Annotated[
    str,
    typer.Option(
        "--aliases",
        metavar="TEXT=OTHER,...",
        help="A route with TEXT also matches with OTHER in its place.",
    ),
]
Node = Annotated[
    str,
    typer.Option(
        "--node",
        metavar="NAME",
        help="Name of this node in `vctl status`; the default is the host name.",
    ),
]
ClientConnections = Annotated[
    int,
    typer.Option(
        "--client-connections",
        min=0,
        metavar="N",
        help="Connections that a worker accepts from one address; 0 means no limit, "
        "for use behind a load balancer.",
    ),
]
CompatOrder = Annotated[
    Literal["specific", "vulcand"],
    typer.Option(
        "--compat-order",
        help="Which of several matching routes wins: the most specific, or as in Go's vulcand.",
    ),
]


@app.command()
def vulcand(  # noqa: PLR0913 - one parameter an option
    *,
    interface: Interface = "127.0.0.1",
    port: Port = 8181,
    api_interface: ApiInterface = "127.0.0.1",
    api_port: ApiPort = 8182,
    api_tls: ApiTls = "off",
    api_token_file: ApiToken = None,
    host_whitelist: options.HostWhitelist = "",
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
    status_tls: options.StatusTls = "off",
    require_tls: options.RequireTls = False,  # noqa: ARG001 - its callback has taken it
    revoked_file: options.RevokedFile = None,
    node: Node = "",
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
    config: options.Config = None,  # noqa: ARG001 - its callback has read the file
) -> None:
    """Forward HTTP requests as the keys below a prefix say."""
    from coordinator.client import StoreError, Tls
    from vulcan.core.config.secretbox import SealError, SealKeys, parse_key
    from vulcan.daemon import run
    from vulcan.settings import Settings

    logs.configure(log_level, log_format)
    files = ca_file, cert_file, key_file
    try:
        settings = Settings(
            address=(interface, port) if default_listener else None,
            api_address=(api_interface, api_port),
            api_token=_token(api_token_file),
            api_names=options.host_names(host_whitelist),
            prefix="/" + prefix.strip("/"),
            bytewise=compat_order == "vulcand",
            aliases=_aliases(aliases),
            seal_keys=SealKeys(tuple(parse_key(key) for key in seal_key.split(",") if key)),
            access_log=_writable(access_log),
            combined=access_log_format == "combined",
            endpoints=endpoints,
            tls=Tls(*(str(path or "") for path in files)),
            state_dir=state_dir,
            status_addr=status_addr,
            status_tls=options.identity_files("--status-tls", status_tls, files, revoked_file),
            api_tls=options.identity_files("--api-tls", api_tls, files, revoked_file),
            workers=workers,
            client_connections=client_connections,
            drain_s=drain_timeout,
            log_level=log_level,
            log_format=log_format,
            node=node or socket.gethostname(),
            version=options.installed_version(),
        )
        code = run(settings)
    except (StoreError, SealError) as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from None
    except OSError as error:
        raise options.Failure(f"{error.filename}: {error.strerror}") from None
    raise typer.Exit(code)


def _token(file: Path | None) -> str:
    try:
        return file.read_text().strip() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise options.Failure(f"--api-token-file {file}: {reason}") from None


def _writable(access_log: str) -> str:
    """Return the file of the access log, when it can be written. The workers open it later."""
    try:
        if access_log not in {"", "-"}:
            Path(access_log).open("ab").close()
    except OSError as error:
        remedy = "name a file in a directory where vulcand may write"
        raise options.Failure(f"--access-log {access_log}: {error.strerror}: {remedy}") from None
    return access_log


def _aliases(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    for old, equals, new in pairs:
        if not old or not equals or not new:
            raise options.Failure(f"--aliases: {old!r} is not TEXT=OTHER", options.EXIT_USAGE)
    return tuple((old, new) for old, _, new in pairs)


def main() -> NoReturn:
    """Run the console script."""
    # A successor gets it from its predecessor.
    options.run(app, "vulcand", variables=("VULCAND_SUCCESSION",))
