"""The command line of `locksmith-fleetlock`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemonkit import options
from locksmith.core import go_flags
from locksmith.store.store_options import StoreOptions

PROGRAM = "locksmith-fleetlock"

app = options.program("Serve the FleetLock protocol on locksmith's semaphores.")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `locksmith-fleetlock`."""
    own = "LOCKSMITH_FLEETLOCK"
    os.environ.update(go_flags.variables(os.environ, own))
    arguments = go_flags.translated(sys.argv[1:] if argv is None else argv)
    options.run(app, PROGRAM, arguments, variables=go_flags.go_variables(own))


@dataclass(frozen=True, kw_only=True)
class FleetLockSettings(StoreOptions):
    """All options of `locksmith-fleetlock`, as given."""

    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address for FleetLock clients.")
    ] = "127.0.0.1:2387"
    tls_cert: options.TlsCert = None
    tls_key: options.TlsKey = None
    client_ca: options.ClientCa = None
    revoked_file: options.RevokedFile = None
    token_file: Annotated[
        Path | None, typer.Option(help="File with the bearer token that clients must send.")
    ] = None
    host_whitelist: options.HostWhitelist = ""
    failure_budget: Annotated[
        int, typer.Option(min=1, help="Number of failed hosts that halts their group.")
    ] = 1
    store_member: Annotated[
        str,
        typer.Option(
            metavar="auto|no",
            help="Whether the address of a client shows that it runs a member of the store; "
            "no if clients come through a proxy.",
        ),
    ] = "auto"
    status_addr: options.StatusAddr = "127.0.0.1:2388"
    status_tls: options.StatusTls = "off"
    require_tls: options.RequireTls = False
    log_level: options.LogLevel = "info"
    log_format: options.LogFormat = "text"
    drain_timeout: options.DrainS = 10.0
    config: options.Config = None
    show_version: options.ShowVersion = False


@app.command()
@options.of_value(FleetLockSettings)
def serve(settings: FleetLockSettings) -> None:
    """Serve the FleetLock protocol on locksmith's semaphores.

    A host that also runs locksmithd holds one slot under both of its names. The protocol has no
    users: if the address is not loopback, require client certificates or a token. If --tls-cert is
    of a fleet, a host may ask only for its own slot, and an operator for any.
    """
    import ssl

    from coordinator.client.core.errors import StoreError
    from daemonkit.http.tls import TlsFiles
    from daemonkit.observe import logs
    from daemonkit.process import lifecycle
    from locksmith.fleetlock.fleetlock_server import FleetLockServer, ListenOptions
    from locksmith.fleetlock.fleetlock_slots import FleetLockSlots
    from locksmith.store import store_quorum
    from locksmith.store.compare_and_swap import system_clock
    from locksmith.store.store_quorum import StoreQuorum

    logs.configure(settings.log_level, settings.log_format)
    options.parse_address(settings.listen, "--listen")
    cert, key, ca = settings.tls_cert, settings.tls_key, settings.client_ca
    if (cert is None) != (key is None) or (ca and not cert):
        raise typer.BadParameter("--tls-cert needs --tls-key, and --client-ca needs both")
    if settings.store_member not in {"auto", "no"}:
        raise typer.BadParameter(f"--store-member {settings.store_member!r}: write auto or no")
    tls = TlsFiles(cert, key, ca, require_client=ca is not None) if cert and key else None
    try:
        names = options.host_names(settings.host_whitelist)
        listen = ListenOptions(
            settings.listen, tls, settings.revoked_file, _token(settings.token_file), names
        )
        quorum = StoreQuorum(
            settings.urls,
            settings.store_member,
            store_quorum.host_addresses(),
            settings.tls,
            (settings.etcd_username, settings.etcd_password),
        )
        slots = FleetLockSlots(settings.open(), system_clock(), quorum, settings.failure_budget)
        server = FleetLockServer(slots, listen, settings.status_addr, _status_tls(settings))
        code = lifecycle.run(server, drain_s=settings.drain_timeout)
    except (StoreError, ssl.SSLError) as error:
        raise options.Failure(str(error)) from error
    except OSError as error:
        raise options.Failure(f"{error.filename}: {error.strerror}") from error
    raise typer.Exit(code)


def _status_tls(settings: FleetLockSettings) -> options.IdentityFiles | None:
    own = settings.ca_file, settings.cert_file, settings.key_file
    return options.identity_files("--status-tls", settings.status_tls, own, settings.revoked_file)


def _token(path: Path | None) -> bytes:
    if path is None:
        return b""
    if not (token := path.read_bytes().strip()):
        raise options.Failure(f"{path} is empty: an empty token would admit every client")
    return token


if __name__ == "__main__":
    main()
