"""Requests of the operator API as values. Each is read from an HTTP request by one function.

`api_routes` says which function reads which method and path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from coordinator.client.core.store_protocol import Absent, AtIndex, Present, PutCondition
from daemonkit.core import durations
from vulcan.core.config import documents
from vulcan.core.control.explain import ExplainQuery, split_url
from vulcan.core.keys import ObjectKey, ObjectKind

TOP_LIMIT = 100


class ApiError(Exception):
    """A request that is not carried out. `status` is the HTTP status of the response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The parts of an HTTP request that determine the operation."""

    names: tuple[str, ...]  # the values of the capital words in the path
    query: tuple[tuple[str, str], ...]
    fields: Mapping[bytes, bytes]
    body: bytes

    def parameter(self, name: str, default: str = "") -> str:
        """Return the last value of a query parameter."""
        return dict(self.query).get(name, default)


class Inspect(Enum):
    """Requests that the daemon answers from its own state."""

    STATUS = auto()
    NODE = auto()
    LOG_LEVEL = auto()


@dataclass(frozen=True, slots=True)
class GetNodes:
    """Show the status of every node."""


@dataclass(frozen=True, slots=True)
class GetHistory:
    """List the recorded revisions."""


@dataclass(frozen=True, slots=True)
class ListObjects:
    """List the objects of a kind; `parent` is the id of the object that contains them."""

    kind: ObjectKind
    parent: str


@dataclass(frozen=True, slots=True)
class GetObject:
    """Show one object."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class PutObject:
    """Write one object, if the condition holds."""

    key: ObjectKey
    document: dict[str, Any]
    ttl_s: int | None
    condition: PutCondition | None


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Remove one object with everything below it, if the condition holds."""

    key: ObjectKey
    condition: PutCondition | None


@dataclass(frozen=True, slots=True)
class TopQuery:
    """Show the frontends or servers with their latest traffic, of one backend or of all."""

    kind: ObjectKind
    backend: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class PutLogLevel:
    """Change the lowest level that is logged."""

    level: str


class ApplyRequest(msgspec.Struct, frozen=True, rename="pascal"):
    """Write several keys, relative to the prefix; None removes a key."""

    keys: dict[str, str | None]
    author: str = ""
    message: str = ""
    dry_run: bool = False
    prune: bool = False  # remove the keys that are not named


class RollbackRequest(msgspec.Struct, frozen=True, rename="pascal"):
    """Restore the keys to their values after a revision."""

    to: int
    author: str = ""
    force: bool = False
    dry_run: bool = False


ApiRequest = (
    Inspect
    | GetNodes
    | GetHistory
    | ListObjects
    | GetObject
    | PutObject
    | DeleteObject
    | TopQuery
    | ExplainQuery
    | PutLogLevel
    | ApplyRequest
    | RollbackRequest
)

_R = TypeVar("_R", ApplyRequest, RollbackRequest)

# Kinds whose keys may have a TTL.
_WITH_TTL = frozenset((ObjectKind.SERVER, ObjectKind.FRONTEND, ObjectKind.MIDDLEWARE))
# The levels by vulcand's names and by ours.
_LOG_LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "fatal": "error",
    "panic": "error",
}
# As large as an index of any store.
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FORM_SEVERITY = re.compile(r'name="severity"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)')


def read_list(kind: ObjectKind, request: HttpRequest) -> ListObjects:
    """Read a GET of a collection."""
    return ListObjects(kind, request.names[0] if kind.parent else "")


def read_get(kind: ObjectKind, request: HttpRequest) -> GetObject:
    """Read a GET of an object."""
    return GetObject(_key(kind, request))


def read_delete(kind: ObjectKind, request: HttpRequest) -> DeleteObject:
    """Read a DELETE of an object. Raises ApiError."""
    return DeleteObject(_key(kind, request), condition_of(request))


def read_put(kind: ObjectKind, request: HttpRequest) -> PutObject:
    """Read a POST to a collection, which writes one object. Raises ApiError."""
    condition = condition_of(request)
    document, ttl_s = _read_body(kind, request.body)
    id_ = document.get("Name" if kind is ObjectKind.HOST else "Id") or ""
    if not isinstance(id_, str) or not id_ or "/" in id_:
        raise ApiError(400, f"{kind.title}: the id is missing or contains a slash")
    key = ObjectKey(kind, id_, request.names[0] if kind.parent else "")
    return PutObject(key, document, ttl_s, condition)


def read_top(kind: ObjectKind, request: HttpRequest) -> TopQuery:
    """Read a GET of the latest traffic. A limit of zero is none, as in Go. Raises ApiError."""
    limit = _integer("limit", request.parameter("limit", str(TOP_LIMIT)))
    return TopQuery(kind, request.parameter("backendId"), limit if limit > 0 else None)


def read_explain(request: HttpRequest) -> ExplainQuery:
    """Read a GET that asks where a request would go. Raises ApiError."""
    text = request.parameter("url")
    try:
        url = split_url(text)
    except ValueError as error:
        raise ApiError(400, f"url is {text[:100]!r}: {error}") from None
    headers = tuple(
        (name.strip(), value.strip())
        for key, field in request.query
        if key == "header"
        for name, _, value in (field.partition(":"),)
    )
    return ExplainQuery(
        request.parameter("method", "GET"),
        url,
        headers,
        request.parameter("peer"),
    )


def read_log_level(request: HttpRequest) -> PutLogLevel:
    """Read the level from a form, a multipart form or the query. Raises ApiError."""
    text = request.body.decode("latin-1")
    if request.fields.get(b"content-type", b"").startswith(b"multipart/"):
        match = _FORM_SEVERITY.search(text)
        given = match[1] if match else ""
    else:
        given = dict(parse_qsl(text)).get("severity", "")
    given = given or request.parameter("severity")
    level = _LOG_LEVELS.get(given.strip().lower())
    if level is None:
        raise ApiError(400, f'severity is "{given[:40]}": use one of {", ".join(_LOG_LEVELS)}')
    return PutLogLevel(level)


def read_apply(request: HttpRequest) -> ApplyRequest:
    """Read a set of keys to write. Raises ApiError."""
    return _decode(request.body, ApplyRequest)


def read_rollback(request: HttpRequest) -> RollbackRequest:
    """Read the revision to go back to. Raises ApiError."""
    return _decode(request.body, RollbackRequest)


def _decode(body: bytes, kind: type[_R]) -> _R:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ApiError(400, f"the body is not as expected: {error}") from None


def condition_of(request: HttpRequest) -> PutCondition | None:
    """Return the condition of a write: If-Match, If-None-Match or prevIndex. Raises ApiError."""
    if b"if-none-match" in request.fields:
        if request.fields[b"if-none-match"].strip() != b"*":
            raise ApiError(400, "If-None-Match: only * is supported")
        return Absent()
    given = request.fields.get(b"if-match", b"").decode("latin-1").strip()
    given = given or request.parameter("prevIndex")
    if not given:
        return None
    if given == "*":
        return Present()
    return AtIndex(_integer("the index of If-Match or prevIndex", given.strip('"')))


def _integer(name: str, text: str) -> int:
    """Read a number of the request. Raises ApiError."""
    if _INTEGER.fullmatch(text) is None:
        raise ApiError(400, f"{name} is {text[:40]!r}: write a whole number")
    return int(text)


def _key(kind: ObjectKind, request: HttpRequest) -> ObjectKey:
    *parent, id_ = request.names
    return ObjectKey(kind, id_, *parent)


def _read_body(kind: ObjectKind, body: bytes) -> tuple[dict[str, Any], int | None]:
    """Return the object and its time to live. Names of fields may be in any case, as in Go."""
    try:
        given = documents.parse_json(body)
        fields = {k.lower(): v for k, v in given.items()} if isinstance(given, dict) else {}
        document = documents.canonical(fields.get(kind.title.lower()))
    except documents.DocumentError as error:
        raise ApiError(400, f"the body: {error}") from None
    if not isinstance(document, dict):
        raise ApiError(400, f'the body must be {{"{kind.title}": {{...}}}}')
    ttl_s = _ttl_s(fields.get("ttl"))
    if ttl_s is not None and kind not in _WITH_TTL:
        raise ApiError(400, f"a {kind.title} cannot have a TTL: a Server can")
    return document, ttl_s


def _ttl_s(given: object) -> int | None:
    """Read a time to live in whole seconds. Go's clients write `0s` for none. Raises ApiError."""
    if not given:
        return None
    if not isinstance(given, str):
        raise ApiError(400, f'TTL is {given!r}: write it like "30s"')
    try:
        seconds = durations.parse(given)
    except ValueError as error:
        raise ApiError(400, f"TTL: {error}") from None
    return max(1, round(seconds)) if seconds else None
