"""`slashetc status`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemonkit import options

if TYPE_CHECKING:
    from slashetc.core.status.view import FleetView
    from slashetc.status.fleet_reader import StoreAddress

ENDPOINTS = "http://127.0.0.1:2379"
# Clears the screen and the lines above it, and goes to the top.
CLEAR = "\x1b[H\x1b[2J\x1b[3J"
INTERVAL_S = 2.0

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Show the status again and again until Ctrl-C.")
]
Interval = Annotated[
    float,
    typer.Option("--interval", metavar="SECONDS", min=0.1, help="Time between two of --watch."),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.1, help="How long to wait for a server that is away."
    ),
]


def status(  # noqa: PLR0913 - one parameter an option
    *,
    as_json: Json = False,
    watch: Watch = False,
    interval: Interval = INTERVAL_S,
    timeout: Timeout = 2.0,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show the whole fleet: what is wrong first, then hosts, store, reboots, jobs, DNS and proxies.

    Exits with 0 if nothing is wrong, with 1 if something is.
    """
    from slashetc.core.status.view import view_of
    from slashetc.status.fleet_reader import FleetReader

    reader = FleetReader(store_of(endpoints, ca_file, cert_file, key_file), timeout)
    try:
        while True:
            view = view_of(reader.read())
            _show(view, as_json=as_json, clears=watch)
            if not watch:
                break
            time.sleep(interval)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    finally:
        reader.close()
    if view.problems:
        raise typer.Exit(options.EXIT_NO)


def store_of(endpoints: str, *files: Path | None) -> "StoreAddress":
    """Return where the store is, with which credentials. Failure if that cannot be used."""
    from coordinator.client import StoreError, Tls
    from coordinator.client.core.endpoint import parse
    from slashetc.status.fleet_reader import StoreAddress

    try:
        return StoreAddress(parse(endpoints), Tls(*(str(path or "") for path in files)))
    except StoreError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from None


def _show(view: "FleetView", *, as_json: bool, clears: bool) -> None:
    from slashetc.core.status.screen import lines
    from slashetc.core.status.view import as_json as document

    is_terminal = sys.stdout.isatty()
    if as_json:
        text = document(view) + "\n"
    else:
        text = "".join(f"{line}\n" for line in lines(view)) + "\n" * (clears and not is_terminal)
    # Everything at once: a screen that is cleared first, and filled later, flickers.
    sys.stdout.write(CLEAR * (clears and is_terminal) + text)
    sys.stdout.flush()
