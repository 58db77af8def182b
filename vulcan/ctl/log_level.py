"""`vctl log`: the lowest level that vulcand logs."""

from typing import Annotated
from urllib.parse import urlencode

import typer

from daemonkit import options
from vulcan.ctl.api_client import client_of
from vulcan.ctl.render import print_done, print_json

app = options.program("The lowest level that vulcand logs.")


@app.command("get_severity")
def get_severity(context: typer.Context) -> None:
    """Print the level."""
    client = client_of(context)
    document = client.call("GET", "/v2/log/severity")
    if client.as_json:
        print_json(document)
    else:
        typer.echo(f"OK: severity: {document['severity']}")


@app.command("set_severity")
def set_severity(
    context: typer.Context,
    *,
    severity: Annotated[
        str, typer.Option("--severity", "-s", help="debug, info, warning or error.")
    ],
) -> None:
    """Change the level until vulcand stops."""
    client = client_of(context)
    document = client.call("PUT", f"/v2/log/severity?{urlencode({'severity': severity})}")
    print_done(client, document, document["message"])
