"""`skydnsctl top`: the most frequent questions and clients."""

import json
from typing import Annotated

import typer

from daemonkit import options
from daemonkit.core.terminal_text import printable
from daemonkit.options import Failure, parse_address
from skydns.ctl.arguments import Json

TIMEOUT_S = 5.0

StatusAddress = Annotated[
    str,
    typer.Option("--status-addr", metavar="HOST:PORT", help="The status page of the daemon."),
]


def top(  # noqa: PLR0913 - one parameter an option
    *,
    json_: Json = False,
    status_addr: StatusAddress = "127.0.0.1:2383",
    status_tls: options.StatusTls = "off",
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show the most frequent questions and clients.

    Counts are weighted samples, halved every minute.
    """
    files = (ca_file, cert_file, key_file) if status_tls == "require" else ()
    rows = _state(status_addr, tuple(str(each or "") for each in files))["top"]
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['count']:>10.0f}  {row['kind']:<7} {printable(str(row['item']))}")


def _state(address: str, files: tuple[str, ...]) -> dict[str, list[dict[str, float]]]:
    from coordinator.client import BadRequest
    from coordinator.client.core.endpoint import Endpoint
    from coordinator.client.core.http_request import EndpointFailed, HttpRequest
    from coordinator.client.http.http_client import HttpClient
    from coordinator.client.http.tls_files import Tls

    host, port = parse_address(address, "--status-addr")
    scheme = "https" if files else "http"
    page = Endpoint(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    remedy = "--status-addr names the status page of skydns"
    try:
        with HttpClient(Tls(*files)).open(
            page, HttpRequest("GET", "/debug/state"), TIMEOUT_S
        ) as answer:
            state = json.loads(answer.read())
    except EndpointFailed as error:
        raise Failure(f"{address} {error}: {remedy}") from None
    except ValueError:
        state = {}
    except BadRequest as error:
        raise Failure(str(error)) from None
    if not isinstance(state, dict) or "top" not in state:
        raise Failure(f"{address} is not the status page of skydns: {remedy}")
    return state
