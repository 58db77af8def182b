"""Calls of vulcand's API, and what comes back as tables."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure

EXIT_NOT_FOUND, EXIT_UNREACHABLE = 3, 4
CALL_S = 30.0

Parent = Annotated[
    str,
    typer.Option("--in", "-b", "-f", help="The backend of a server, or a middleware's frontend."),
]
Id = Annotated[str, typer.Option("--id", "--name", help="Which one.")]
Ttl = Annotated[str, typer.Option("--ttl", help="After which it goes, such as 30s.")]

# Titles of columns, each with the place of its value in the object.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "host": {"Name": "Name", "Default": "Settings.Default"},
    "listener": {
        "Id": "Id",
        "Protocol": "Protocol",
        "Network": "Address.Network",
        "Address": "Address.Address",
        "Scope": "Scope",
        "ProxyProtocol": "ProxyProtocol",
    },
    "backend": {"Id": "Id", "Type": "Type"},
    "server": {"Id": "Id", "URL": "URL"},
    "frontend": {"Id": "Id", "Route": "Route", "Backend": "BackendId", "Type": "Type"},
    "middleware": {"Id": "Id", "Priority": "Priority", "Type": "Type", "Settings": "Middleware"},
}
_ABOVE = {"server": "backends", "middleware": "frontends"}


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Where vulcand's API is, how to be let in, and whether answers are shown as JSON."""

    url: str
    token_file: Path | None
    as_json: bool

    def call(self, method: str, path: str, body: object = None, **fields: str) -> Any:
        """Return the answer's document. Raises Failure."""
        if self.token_file is not None:
            fields["Authorization"] = f"Bearer {self._token(self.token_file)}"
        data = None if body is None else json.dumps(body).encode()
        fields = {"Content-Type": "application/json", **fields}
        request = urllib.request.Request(self.url.rstrip("/") + path, data, fields, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=CALL_S) as reply:  # noqa: S310
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                code = EXIT_NOT_FOUND if error.code == 404 else options.EXIT_NO
                raise Failure(_message(error), code) from None
        except (OSError, ValueError) as error:
            raise Failure(f"{self.url}: {error}: does vulcand run?", EXIT_UNREACHABLE) from None

    def list(self, kind: str, parent: str = "") -> None:
        """Print the objects of a kind."""
        title = f"{kind.capitalize()}s"
        answer = self.call("GET", path_of(kind, parent))
        if self.as_json:
            show(answer)
            return
        columns = COLUMNS[kind]
        rows = [[_at(each, place) for place in columns.values()] for each in answer[title]]
        table(title, tuple(columns), rows)

    def show(self, kind: str, id_: str, parent: str = "") -> None:
        """Print one object as JSON."""
        show(self.call("GET", f"{path_of(kind, parent)}/{quote(id_, safe='')}"))

    def upsert(self, kind: str, document: object, parent: str = "", ttl: str = "") -> None:
        """Write one object."""
        body = {kind.capitalize(): document, **({"TTL": ttl} if ttl else {})}
        made = self.call("POST", path_of(kind, parent), body)
        self.tell(made, f"{kind} upserted")

    def remove(self, kind: str, id_: str, parent: str = "") -> None:
        """Remove one object, with all that is below it."""
        gone = self.call("DELETE", f"{path_of(kind, parent)}/{quote(id_, safe='')}")
        self.tell(gone, gone["message"])

    def tell(self, answer: object, text: str) -> None:
        """Print what was done."""
        if self.as_json:
            show(answer)
        else:
            typer.echo(f"OK: {text}")

    @staticmethod
    def _token(file: Path) -> str:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise Failure(f"{file}: {error.strerror}", EXIT_USAGE) from None


def path_of(kind: str, parent: str) -> str:
    """Return the API's path of a kind. Raises Failure."""
    if kind not in COLUMNS:
        raise Failure(f"{kind!r} is not one of {', '.join(COLUMNS)}", EXIT_USAGE)
    above = _ABOVE.get(kind)
    if above is None:
        return f"/v2/{kind}s"
    if not parent:
        flag = "-b BACKEND" if kind == "server" else "-f FRONTEND"
        raise Failure(f"say whose {kind}: {flag}", EXIT_USAGE)
    return f"/v2/{above}/{quote(parent, safe='')}/{kind}s"


def read_json(text: str, what: str = "") -> Any:
    """Read JSON that an option holds. Raises Failure."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{what + ': ' if what else ''}not JSON: {error}", EXIT_USAGE) from None


def show(document: object) -> None:
    """Print a document."""
    typer.echo(json.dumps(document, indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table below its title."""
    cells = [tuple(columns), *[tuple(_cell(value) for value in row) for row in rows]]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    typer.echo(f"\n[{title}]")
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _at(document: Any, place: str) -> object:
    for name in place.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else str(value)


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
