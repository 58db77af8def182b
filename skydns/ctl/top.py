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
    from coordinator.client.core.endpoint import Endpoint
    from coordinator.client.core.http_request import EndpointFailed, HttpRequest
    from coordinator.client.http.http_client import HttpClient
    from coordinator.client.http.tls_files import Tls

    host, port = parse_address(address, "--status-addr")
    page = Endpoint(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    remedy = "--status-addr names the status page of skydns"
    try:
        with HttpClient(Tls()).open(page, HttpRequest("GET", "/debug/state"), TIMEOUT_S) as answer:
            state = json.loads(answer.read())
    except EndpointFailed as error:
        raise Failure(f"{address} {error}: {remedy}") from None
    except ValueError:
        state = {}
    if not isinstance(state, dict) or "top" not in state:
        raise Failure(f"{address} is not the status page of skydns: {remedy}")
    return state
