"""Calls of vulcand's API."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import ObjectKind

if TYPE_CHECKING:
    from urllib.error import HTTPError

EXIT_NOT_FOUND, EXIT_UNREACHABLE = 3, 4
CALL_S = 30.0


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The API's address and token, and whether to print its responses as JSON."""

    url: str
    token_file: Path | None
    as_json: bool

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the document of the response. Raises Failure."""
        # Half of the time of `vctl --help` would go into importing this.
        import urllib.error
        import urllib.request

        headers = {"Content-Type": "application/json"}
        if self.token_file is not None:
            headers["Authorization"] = f"Bearer {_read_token(self.token_file)}"
        data = None if body is None else json.dumps(body).encode()
        url = self.url.rstrip("/") + path
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=CALL_S) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                code = EXIT_NOT_FOUND if error.code == 404 else options.EXIT_NO
                raise Failure(_message(error), code) from None
        except (OSError, ValueError) as error:
            raise Failure(f"{self.url}: {error}: is vulcand running?", EXIT_UNREACHABLE) from None

    def list(self, kind: ObjectKind, parent: str = "") -> Any:
        """Return the objects of a kind, as the API lists them. Raises Failure."""
        return self.call("GET", collection_path(kind, parent))

    def get(self, kind: ObjectKind, id_: str, parent: str = "") -> Any:
        """Return one object. Raises Failure."""
        return self.call("GET", f"{collection_path(kind, parent)}/{quote(id_, safe='')}")

    def put(self, kind: ObjectKind, document: object, parent: str = "", ttl: str = "") -> Any:
        """Write one object. Raises Failure."""
        body = {kind.title: document, **({"TTL": ttl} if ttl else {})}
        return self.call("POST", collection_path(kind, parent), body)

    def delete(self, kind: ObjectKind, id_: str, parent: str = "") -> Any:
        """Remove one object with everything below it. Raises Failure."""
        return self.call("DELETE", f"{collection_path(kind, parent)}/{quote(id_, safe='')}")


def client_of(context: typer.Context) -> ApiClient:
    """Return the client that the program's options describe."""
    client: ApiClient = context.obj
    return client


def collection_path(kind: ObjectKind, parent: str) -> str:
    """Return the API's path of a kind's objects. Raises Failure."""
    if kind.parent is None:
        return f"/v2/{kind.value}"
    if not parent:
        flag = "-b BACKEND" if kind is ObjectKind.SERVER else "-f FRONTEND"
        owner = kind.parent.title.lower()
        raise Failure(f"name the {owner} of the {kind.title.lower()}: {flag}", EXIT_USAGE)
    return f"/v2/{kind.parent.value}/{quote(parent, safe='')}/{kind.value}"


def _read_token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}", EXIT_USAGE) from None


def _message(error: "HTTPError") -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
