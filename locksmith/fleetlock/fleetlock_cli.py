"""The command line of `locksmith-fleetlock`."""

import os
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from coordinator.client.core.errors import StoreError
from daemonkit import options
from daemonkit.observe import logs
from locksmith.core import go_flags
from locksmith.ctl import app as cli
from locksmith.store.connection import Remote

PROGRAM = "locksmith-fleetlock"

app = options.program("Serve the FleetLock protocol on locksmith's semaphores.")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `locksmith-fleetlock`."""
    os.environ.update(go_flags.variables(os.environ, "LOCKSMITH_FLEETLOCK"))
    options.run(app, PROGRAM, go_flags.renamed(sys.argv[1:] if argv is None else argv))


@app.command()
def serve(  # noqa: PLR0913 - typer reads options from parameters
    *,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where FleetLock clients are served.")
    ] = "127.0.0.1:2387",
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate to serve with.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of --tls-cert.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="Clients must show a certificate of these.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Holds the bearer token that clients must show.")
    ] = None,
    failure_budget: Annotated[
        int, typer.Option(min=1, help="So many failed hosts halt their group.")
    ] = 1,
    endpoints: options.Endpoints = cli.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    etcd_username: cli.Username = "",
    etcd_password: cli.Password = "",
    status_addr: options.StatusAddr = "127.0.0.1:2388",
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
            callback=cli.version_of(PROGRAM),
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Serve the FleetLock protocol on locksmith's semaphores.

    A host that also runs locksmithd holds one slot under both of its names. The protocol has no
    users: beyond loopback ask for client certificates or a token.
    """
    from daemonkit.http.tls import TlsFiles
    from daemonkit.process import lifecycle
    from locksmith.fleetlock.fleetlock_server import Door, Gateway

    logs.configure(log_level, log_format)
    options.parse_address(listen)
    if (tls_cert is None) != (tls_key is None) or (client_ca and not tls_cert):
        raise typer.BadParameter("--tls-cert and --tls-key go together, --client-ca needs them")
    remote = Remote(endpoints, (ca_file, cert_file, key_file), (etcd_username, etcd_password))
    tls = None
    if tls_cert and tls_key:
        tls = TlsFiles(tls_cert, tls_key, client_ca, require_client=client_ca is not None)
    try:
        door = Door(listen, tls, _token(token_file))
        gateway = Gateway(remote.open(), door, status_addr, failure_budget)
        code = lifecycle.run(gateway, drain_s=drain_timeout)
    except (StoreError, ssl.SSLError) as error:
        raise options.Failure(str(error)) from error
    except OSError as error:
        raise options.Failure(f"{error.filename}: {error.strerror}") from error
    raise typer.Exit(code)


def _token(path: Path | None) -> bytes:
    if path is None:
        return b""
    if not (token := path.read_bytes().strip()):
        raise options.Failure(f"{path} is empty: a token of nothing would let everybody in")
    return token


if __name__ == "__main__":
    main()
