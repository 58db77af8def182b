"""What vctl prints: JSON, tables, and one line for each change."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from daemonkit.core import text_table
from daemonkit.core.terminal_text import printable
from vulcan.ctl.api_client import ApiClient


def print_json(document: object) -> None:
    """Print a document as JSON."""
    typer.echo(json.dumps(document, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table below its title."""
    cells = [tuple(columns), *[tuple(_cell(value) for value in row) for row in rows]]
    typer.echo(f"\n[{title}]")
    typer.echo(text_table.show(cells), nl=False)


def print_done(client: ApiClient, document: object, text: str) -> None:
    """Print what was done, or the API's response with `--json`."""
    if client.as_json:
        print_json(document)
    else:
        typer.echo(f"OK: {printable(text)}")


def print_changes(client: ApiClient, document: Any) -> None:
    """Print the changes, warnings and revision of `apply` or `rollback`."""
    if client.as_json:
        print_json(document)
        return
    for change in document["Changes"]:
        sign = "-" if change["After"] is None else "+" if change["Before"] is None else "~"
        typer.echo(f"{sign} {printable(change['Key'])}")
    for warning in document["Warnings"]:
        typer.echo(f"warning: {printable(warning)}", err=True)
    revision = document["Revision"]
    typer.echo("nothing written" if revision is None else f"OK: revision {revision}")


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else str(value)
