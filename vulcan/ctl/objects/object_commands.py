"""What the commands of all nouns share: list, show, write and remove objects; common options."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import ObjectKind
from vulcan.ctl.api_client import client_of
from vulcan.ctl.render import print_done, print_json, print_table

Id = Annotated[str, typer.Option("--id", help="The object's id.")]
BackendId = Annotated[str, typer.Option("--backend", "-b", help="The id of the backend.")]
FrontendId = Annotated[str, typer.Option("--frontend", "-f", help="The id of the frontend.")]
Ttl = Annotated[str, typer.Option("--ttl", help="Remove the object after this time, such as 30s.")]

# The titles of columns, each with the path of its value in the object.
_COLUMNS: Mapping[ObjectKind, Mapping[str, str]] = {
    ObjectKind.HOST: {"Name": "Name", "Default": "Settings.Default"},
    ObjectKind.LISTENER: {
        "Id": "Id",
        "Protocol": "Protocol",
        "Network": "Address.Network",
        "Address": "Address.Address",
        "Scope": "Scope",
        "ProxyProtocol": "ProxyProtocol",
    },
    ObjectKind.BACKEND: {"Id": "Id", "Type": "Type"},
    ObjectKind.SERVER: {"Id": "Id", "URL": "URL"},
    ObjectKind.FRONTEND: {"Id": "Id", "Route": "Route", "Backend": "BackendId", "Type": "Type"},
    ObjectKind.MIDDLEWARE: {
        "Id": "Id",
        "Priority": "Priority",
        "Type": "Type",
        "Settings": "Middleware",
    },
}


def list_objects(context: typer.Context, kind: ObjectKind, parent: str = "") -> None:
    """Print the objects of a kind."""
    client, columns = client_of(context), _COLUMNS[kind]
    document = client.list(kind, parent)
    if client.as_json:
        print_json(document)
        return
    title = f"{kind.title}s"
    rows = [[_value_at(each, path) for path in columns.values()] for each in document[title]]
    print_table(title, tuple(columns), rows)


def show_object(context: typer.Context, kind: ObjectKind, id_: str, parent: str = "") -> None:
    """Print one object as JSON."""
    print_json(client_of(context).get(kind, id_, parent))


def upsert_object(
    context: typer.Context, kind: ObjectKind, document: object, parent: str = "", ttl: str = ""
) -> None:
    """Write one object."""
    client = client_of(context)
    print_done(client, client.put(kind, document, parent, ttl), f"{kind.title.lower()} upserted")


def remove_object(context: typer.Context, kind: ObjectKind, id_: str, parent: str = "") -> None:
    """Remove one object with everything below it."""
    client = client_of(context)
    document = client.delete(kind, id_, parent)
    print_done(client, document, document["message"])


def parse_json(text: str, name: str = "") -> Any:
    """Parse JSON that an option holds. Raises Failure."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{name + ': ' if name else ''}not JSON: {error}", EXIT_USAGE) from None


def _value_at(document: Any, path: str) -> object:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
