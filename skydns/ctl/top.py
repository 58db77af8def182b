"""`skydnsctl top`: the most frequent questions and clients."""

import json
from typing import Annotated

import typer

from daemonkit.core.terminal_text import printable
from daemonkit.options import Failure, parse_address
from skydns.ctl.arguments import Json

TIMEOUT_S = 5.0

StatusAddress = Annotated[
    str,
    typer.Option("--status-addr", metavar="HOST:PORT", help="The status page of the daemon."),
]


def top(*, json_: Json = False, status_addr: StatusAddress = "127.0.0.1:2383") -> None:
    """Show the most frequent questions and clients.

    Counts are weighted samples, halved every minute.
    """
    rows = _state(status_addr)["top"]
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['count']:>10.0f}  {row['kind']:<7} {printable(str(row['item']))}")


def _state(address: str) -> dict[str, list[dict[str, float]]]:
    import urllib.error
    import urllib.request

    host, port = parse_address(address)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/debug/state", timeout=TIMEOUT_S) as page:
            return dict(json.load(page))
    except (OSError, urllib.error.URLError) as error:
        remedy = "name the status page of the daemon with --status-addr"
        raise Failure(f"{address}: {error}; {remedy}") from None
