"""Calls of vulcand's API."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import typer

from daemonkit import options
from daemonkit.core.addresses import is_loopback
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import ObjectKind
from vulcan.ctl.store_token import StoreAccess

if TYPE_CHECKING:
    from coordinator.client import Tls
    from coordinator.client.core.endpoint import Endpoint

EXIT_NOT_FOUND, EXIT_UNREACHABLE = 3, 4
CALL_S = 30.0


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The API's address and token, and whether to print its responses as JSON."""

    url: str
    token_file: Path | None
    as_json: bool
    files: tuple[Path | None, Path | None, Path | None] = (None, None, None)
    endpoints: str = ""  # of the store
    prefix: str = "vulcand"

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the document of the response. Raises Failure."""
        # Half of the time of `vctl --help` would go into importing this.
        from coordinator.client.core.http_request import EndpointFailed, HttpRequest
        from coordinator.client.http.http_client import HttpClient

        tls = self._tls()
        headers = {"Content-Type": "application/json"}
        if self.token_file is not None:
            headers["Authorization"] = f"Bearer {_read_token(self.token_file)}"
        endpoint = _endpoint(self.url)
        if method != "GET" and self.files[1] is not None:
            headers |= self._store_fields(endpoint, tls)
        data = None if body is None else json.dumps(body).encode()
        request = HttpRequest(method, path, json=data, headers=headers)
        try:
            with HttpClient(tls).open(endpoint, request, CALL_S) as response:
                return _document(response.status, response.read())
        except EndpointFailed as error:
            remedy = "is vulcand running there? --vulcan names the URL of its API"
            raise Failure(f"{endpoint} {error}: {remedy}", EXIT_UNREACHABLE) from None
        except _NotTheApiError as error:
            remedy = "it is not vulcand's API, whose URL --vulcan names"
            raise Failure(f"{endpoint} {error}: {remedy}", EXIT_UNREACHABLE) from None

    def _tls(self) -> "Tls":
        from coordinator.client import BadRequest, Tls

        try:
            return Tls(*(str(each or "") for each in self.files))
        except BadRequest as error:
            raise Failure(str(error), EXIT_USAGE) from None

    def _store_fields(self, endpoint: "Endpoint", tls: "Tls") -> dict[str, str]:
        """Return the field with a token of the store, which is for no ears but vulcand's."""
        found = StoreAccess(self.endpoints, tls, self.prefix).fields()
        if found and not (endpoint.url.startswith("https://") or _is_near(endpoint.url)):
            remedy = "write https://, and start vulcand with --api-tls require"
            raise Failure(f"--vulcan {endpoint} would show your token to the network: {remedy}")
        return found

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


def _endpoint(url: str) -> "Endpoint":
    from coordinator.client import BadRequest
    from coordinator.client.core.endpoint import parse

    try:
        return parse([url])[0]
    except BadRequest:
        remedy = "write the URL of vulcand's API, such as http://127.0.0.1:8182"
        raise Failure(f"--vulcan is {url!r}: {remedy}", EXIT_USAGE) from None


def _is_near(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


class _NotTheApiError(Exception):
    """What answered is no vulcand."""


def _document(status: int, body: bytes) -> Any:
    """Return the document of a response. Failure for a refusal of the API."""
    try:
        document = json.loads(body)
        if status < 400:
            return document
        message = document["message"]
    except (ValueError, KeyError, TypeError):
        raise _NotTheApiError(f"answers {status} without a document of the API") from None
    raise Failure(str(message), EXIT_NOT_FOUND if status == 404 else options.EXIT_NO)
