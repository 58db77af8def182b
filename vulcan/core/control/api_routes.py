"""The table of the operator API: one row for each method and path.

The daemon answers by this table and the reference is printed from it. Paths and JSON are those of
vulcand. A capital word in a path varies; its values come to the reading function as `names`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from daemonkit.core.api_routes import ApiRoute
from vulcan.core.control.api_requests import (
    ApiError,
    ApiRequest,
    GetHistory,
    GetNodes,
    HttpRequest,
    Inspect,
    read_apply,
    read_delete,
    read_explain,
    read_get,
    read_list,
    read_log_level,
    read_put,
    read_rollback,
    read_top,
)
from vulcan.core.keys import ObjectKind

HOST, LISTENER = ObjectKind.HOST, ObjectKind.LISTENER
BACKEND, SERVER = ObjectKind.BACKEND, ObjectKind.SERVER
FRONTEND, MIDDLEWARE = ObjectKind.FRONTEND, ObjectKind.MIDDLEWARE


class Operation(NamedTuple):
    """One row of the table."""

    method: str
    path: str
    about: str
    read: Callable[[HttpRequest], ApiRequest]


def _fixed(request: ApiRequest) -> Callable[[HttpRequest], ApiRequest]:
    return lambda _: request


_MIDDLEWARE_PATH = "/v2/frontends/ID/middlewares/MIDDLEWARE"

OPERATIONS = (
    Operation("GET", "/v1/status", "200 while the daemon runs", _fixed(Inspect.STATUS)),
    Operation("GET", "/v2/status", "the same", _fixed(Inspect.STATUS)),
    Operation("GET", "/v2/hosts", "all hosts", partial(read_list, HOST)),
    Operation("POST", "/v2/hosts", "write a host", partial(read_put, HOST)),
    Operation("GET", "/v2/hosts/NAME", "a host without its key pair", partial(read_get, HOST)),
    Operation("DELETE", "/v2/hosts/NAME", "remove a host", partial(read_delete, HOST)),
    Operation("GET", "/v2/listeners", "all listeners", partial(read_list, LISTENER)),
    Operation("POST", "/v2/listeners", "write a listener", partial(read_put, LISTENER)),
    Operation("GET", "/v2/listeners/ID", "a listener", partial(read_get, LISTENER)),
    Operation("DELETE", "/v2/listeners/ID", "remove a listener", partial(read_delete, LISTENER)),
    Operation("GET", "/v2/backends", "all backends", partial(read_list, BACKEND)),
    Operation("POST", "/v2/backends", "write a backend", partial(read_put, BACKEND)),
    Operation("GET", "/v2/backends/ID", "a backend", partial(read_get, BACKEND)),
    Operation(
        "DELETE",
        "/v2/backends/ID",
        "remove a backend and its servers; 409 while a frontend uses it",
        partial(read_delete, BACKEND),
    ),
    Operation("GET", "/v2/backends/ID/servers", "a backend's servers", partial(read_list, SERVER)),
    Operation("POST", "/v2/backends/ID/servers", "write a server", partial(read_put, SERVER)),
    Operation("GET", "/v2/backends/ID/servers/SERVER", "a server", partial(read_get, SERVER)),
    Operation(
        "DELETE",
        "/v2/backends/ID/servers/SERVER",
        "remove a server; its requests in flight finish",
        partial(read_delete, SERVER),
    ),
    Operation("GET", "/v2/frontends", "all frontends", partial(read_list, FRONTEND)),
    Operation("POST", "/v2/frontends", "write a frontend", partial(read_put, FRONTEND)),
    Operation("GET", "/v2/frontends/ID", "a frontend", partial(read_get, FRONTEND)),
    Operation(
        "DELETE",
        "/v2/frontends/ID",
        "remove a frontend and its middlewares",
        partial(read_delete, FRONTEND),
    ),
    Operation(
        "GET",
        "/v2/frontends/ID/middlewares",
        "a frontend's middlewares",
        partial(read_list, MIDDLEWARE),
    ),
    Operation(
        "POST",
        "/v2/frontends/ID/middlewares",
        "write a middleware",
        partial(read_put, MIDDLEWARE),
    ),
    Operation("GET", _MIDDLEWARE_PATH, "a middleware", partial(read_get, MIDDLEWARE)),
    Operation("DELETE", _MIDDLEWARE_PATH, "remove a middleware", partial(read_delete, MIDDLEWARE)),
    Operation(
        "GET",
        "/v2/top/frontends",
        "frontends with the traffic of the last seconds: `limit backendId`",
        partial(read_top, FRONTEND),
    ),
    Operation("GET", "/v2/top/servers", "the same for servers", partial(read_top, SERVER)),
    Operation(
        "GET",
        "/v2/explain",
        "where a request would go, and why: `method url header peer` (extension)",
        read_explain,
    ),
    Operation(
        "GET",
        "/v2/nodes",
        "every node: its index, its lag, its refused keys (extension)",
        _fixed(GetNodes()),
    ),
    Operation(
        "GET",
        "/v2/node",
        "this node: its index, and the keys that are not in force (extension)",
        _fixed(Inspect.NODE),
    ),
    Operation(
        "GET", "/v2/log/severity", "the lowest level that is logged", _fixed(Inspect.LOG_LEVEL)
    ),
    Operation("PUT", "/v2/log/severity", "change it: `severity`", read_log_level),
    Operation("POST", "/v2/apply", "check, plan and write a set of keys (extension)", read_apply),
    Operation(
        "POST", "/v2/rollback", "undo the changes after a revision (extension)", read_rollback
    ),
    Operation("POST", "/v2/history", "the recorded revisions (extension)", _fixed(GetHistory())),
)

ROUTES = tuple(ApiRoute(each.method, each.path, each.about) for each in OPERATIONS)
_ROWS = tuple((each, each.path.strip("/").split("/")) for each in OPERATIONS)


def parse_request(
    method: str, target: str, fields: Mapping[bytes, bytes], body: bytes
) -> ApiRequest:
    """Read an HTTP request by its row of the table. Raises ApiError."""
    path, _, query = target.partition("?")
    segments = [unquote(part) for part in path.strip("/").split("/")]
    method = "GET" if method == "HEAD" else method
    for operation, pattern in _ROWS:
        names = _match(pattern, segments) if operation.method == method else None
        if names is not None:
            return operation.read(HttpRequest(names, tuple(parse_qsl(query)), fields, body))
    if method in {"GET", "POST", "DELETE"}:
        raise ApiError(404, "Object not found")
    raise ApiError(405, "use GET, POST or DELETE")


def _match(pattern: list[str], segments: list[str]) -> tuple[str, ...] | None:
    """Return the values of a pattern's capital words; None when the path does not match."""
    if len(pattern) != len(segments):
        return None
    names = []
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.isupper():
            names.append(segment)
        elif expected != segment:
            return None
    return tuple(names)
