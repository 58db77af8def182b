"""The operator API in vulcand's paths and JSON.

Reads are answered from the table in force. Writes go to the store on a thread, because the store
may be slow, and with the caller's own token, if the request brings one. The daemon learns of them
from the store, like of any other change. A write is answered when it is in force here, so that a
client reads what it wrote.
"""

import asyncio
import contextlib
import hmac
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

import msgspec

from coordinator.client import (
    AtIndex,
    BadRequest,
    CompareFailed,
    DetectedStore,
    KeyExists,
    KeyNotFound,
    Store,
    StoreError,
    Unauthorized,
    Unavailable,
)
from daemonkit.core.framing import BadMessage
from daemonkit.http.exchange import spawn
from daemonkit.http.server import STATUS_LINES, Exchange
from vulcan.control import apply
from vulcan.control.heartbeat import read_cluster_status
from vulcan.control.key_feed import WrittenKeys
from vulcan.core.config.secretbox import NONCE_BYTES
from vulcan.core.config.table import Table
from vulcan.core.control.api_documents import (
    NOT_FOUND,
    NodeState,
    list_document,
    node_document,
    object_document,
    top_document,
)
from vulcan.core.control.api_requests import (
    ApiError,
    ApiRequest,
    ApplyRequest,
    DeleteObject,
    GetHistory,
    GetNodes,
    GetObject,
    Inspect,
    ListObjects,
    PutLogLevel,
    PutObject,
    RollbackRequest,
    TopQuery,
)
from vulcan.core.control.api_routes import parse_request
from vulcan.core.control.explain import ExplainQuery, explain
from vulcan.core.control.node_status import NodeStatus, cluster_status
from vulcan.core.control.object_writes import check_delete, parent_of, plan_write
from vulcan.core.control.revision import RevisionConflict
from vulcan.core.control.top import Windows
from vulcan.core.keys import ObjectKey, ObjectKind

# The field with the caller's own token of the store: changes are written with its rights.
STORE_TOKEN = b"x-store-authorization"
_BEARER = re.compile(rb"Bearer ([A-Za-z0-9._~+/=-]{1,4096})")
_AUTHENTICATE = b'WWW-Authenticate: Bearer realm="vulcand"\r\n'
_ALLOW = b"Allow: GET, HEAD, POST, DELETE\r\n"


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What the API needs from the daemon.

    Without a token, everyone whom `refusal` admits may use it.
    """

    table: Callable[[], Table]
    store: Store
    store_of: Callable[[str], DetectedStore]  # as the user that a token of the store is for
    token: str
    refusal: Callable[[Exchange, bool], BadMessage | None]  # of a client, to read or to change
    state: Callable[[], NodeState]
    status: Callable[[], NodeStatus]
    modified: Callable[[str], int | None]  # the index of a key's last write
    watch: Callable[[], float]  # makes workers report traffic; returns the seconds until they have
    in_force: Callable[[WrittenKeys], Awaitable[None]]  # waits for writes
    windows: Callable[[], Windows]
    log_level: Callable[[], str]
    set_log_level: Callable[[str], None]


# Requests that read or write the store, and those that only an operator may send.
StoreRequest = PutObject | DeleteObject | ApplyRequest | RollbackRequest | GetHistory
Change = PutObject | DeleteObject | ApplyRequest | RollbackRequest | PutLogLevel


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A document with its status; `fields` are complete header lines."""

    document: object
    status: int = 200
    fields: bytes = b""


def application(context: ApiContext) -> Callable[[Exchange], None]:
    """Return the function that handles the API's exchanges."""

    def serve(exchange: Exchange) -> None:
        head = exchange.head
        if not _is_authorized(context, head.fields.get(b"authorization", b"")):
            document = {"message": "the API needs a bearer token"}
            _reply(exchange, ApiResponse(document, 401, _AUTHENTICATE))
            return
        method, target = head.method.decode("latin-1"), head.target.decode("latin-1")
        try:
            _admit(context, exchange, changes=False)
            request = parse_request(method, target, head.fields, exchange.body)
            if isinstance(request, Change):
                _admit(context, exchange, changes=True)
            _handle(context, exchange, request)
        except ApiError as error:
            _reply(exchange, _error_response(error))

    return serve


def _admit(context: ApiContext, exchange: Exchange, *, changes: bool) -> None:
    """Refuse a client whose certificate does not allow the request. Raises ApiError."""
    if (refusal := context.refusal(exchange, changes)) is not None:
        raise ApiError(refusal.status, refusal.reason)


def _is_authorized(context: ApiContext, given: bytes) -> bool:
    expected = b"Bearer " + context.token.encode()
    return not context.token or hmac.compare_digest(given, expected)


def _handle(context: ApiContext, exchange: Exchange, request: ApiRequest) -> None:
    match request:
        case TopQuery():
            spawn(exchange, _top(context, exchange, request))
        case GetNodes():
            spawn(exchange, _nodes(context, exchange))
        case PutObject() | DeleteObject() | ApplyRequest() | RollbackRequest() | GetHistory():
            spawn(exchange, _call_store(context, exchange, request))
        case _:
            _reply(exchange, _read(context, request))


def _read(
    context: ApiContext, request: ListObjects | GetObject | ExplainQuery | PutLogLevel | Inspect
) -> ApiResponse:
    table = context.table()
    match request:
        case ListObjects(kind, parent):
            return ApiResponse(list_document(table, kind, parent))
        case GetObject(key):
            modified = context.modified(f"{table.prefix}/{key.path}")
            etag = b"" if modified is None else b'ETag: "%d"\r\n' % modified
            return ApiResponse(object_document(table, key), fields=etag)
        case ExplainQuery():
            return ApiResponse(explain(table, request, context.state().down))
        case PutLogLevel(level):
            context.set_log_level(level)
            return ApiResponse({"message": f"Severity has been updated to {level}"})
        case Inspect.STATUS:
            return ApiResponse({"Status": "ok"})
        case Inspect.NODE:
            return ApiResponse(node_document(table, context.state()))
        case Inspect.LOG_LEVEL:
            return ApiResponse({"severity": context.log_level()})
        case _:
            assert_never(request)


async def _top(context: ApiContext, exchange: Exchange, request: TopQuery) -> None:
    await asyncio.sleep(context.watch())
    _reply(exchange, ApiResponse(top_document(context.table(), context.windows(), request)))


async def _nodes(context: ApiContext, exchange: Exchange) -> None:
    prefix, own = context.table().prefix, context.status()
    try:
        nodes = await asyncio.to_thread(read_cluster_status, context.store, prefix, own)
    except StoreError as error:
        # Without the store, this node can still report its own status.
        nodes = cluster_status([(msgspec.structs.replace(own, store=str(error)), 0.0)], 0)
    _reply(exchange, ApiResponse({"Nodes": nodes}))


async def _call_store(context: ApiContext, exchange: Exchange, request: StoreRequest) -> None:
    try:
        token = _store_token(exchange.head.fields.get(STORE_TOKEN, b""))
        document, written = await asyncio.to_thread(_call_as, context, request, token)
        await context.in_force(written)
        response = ApiResponse(document)
    except ApiError as error:
        response = _error_response(error)
    _reply(exchange, response)


def _store_token(given: bytes) -> str:
    """Return the token in a request's field, empty without one. Raises ApiError."""
    if not given:
        return ""
    found = _BEARER.fullmatch(given)
    if found is None:
        raise ApiError(400, "X-Store-Authorization holds no bearer token of the store")
    return found[1].decode()


def _call_as(context: ApiContext, request: StoreRequest, token: str) -> tuple[object, WrittenKeys]:
    """Carry out a request as the user of a token, or as this daemon. Raises ApiError."""
    if not token:
        return _carry_out(context, context.store, request)
    with context.store_of(token) as store:  # for this request alone: tokens are not kept
        return _carry_out(context, store, request)


def _carry_out(
    context: ApiContext, store: Store, request: StoreRequest
) -> tuple[object, WrittenKeys]:
    """Carry out a request on the store; return the document to show, and the keys written.

    Raises ApiError for every error of the store.
    """
    table = context.table()
    try:
        match request:
            case PutObject():
                return _put(store, table, request)
            case DeleteObject():
                return _delete(store, table, request)
            case ApplyRequest():
                return apply.apply(store, table, request)
            case RollbackRequest():
                return apply.rollback(store, table, request)
            case GetHistory():
                return apply.history_document(store, table.prefix), {}
            case _:
                assert_never(request)
    except (KeyNotFound, KeyExists, CompareFailed) as error:
        if isinstance(request, PutObject | DeleteObject) and request.condition is not None:
            raise ApiError(412, f"the condition of the request does not hold: {error}") from None
        if isinstance(error, KeyNotFound):
            raise ApiError(404, NOT_FOUND) from None
        raise ApiError(409, str(error)) from None
    except RevisionConflict as error:
        raise ApiError(409, str(error)) from None
    except BadRequest as error:
        raise ApiError(400, str(error)) from None
    except Unauthorized as error:
        raise ApiError(403, f"the store refuses: {error}") from None
    except Unavailable as error:
        raise ApiError(503, f"the store does not respond: {error}") from None
    except StoreError as error:
        raise ApiError(500, str(error)) from None


def _put(store: Store, table: Table, request: PutObject) -> tuple[object, WrittenKeys]:
    write = plan_write(request, table, os.urandom(NONCE_BYTES))
    if (parent := parent_of(request)) and not _exists(store, table.prefix, parent):
        name = f"{parent.kind.title.lower()} {parent.id}"
        raise ApiError(404, f"{name} is not defined: write it first")
    path = f"{table.prefix}/{request.key.path}"
    entry = store.put(path, write.value, ttl_s=request.ttl_s, when=request.condition)
    return write.shown, {path: entry.modified}


def _exists(store: Store, prefix: str, key: ObjectKey) -> bool:
    """Whether an object exists. The table does not know yet what another node wrote just now."""
    try:
        store.get(f"{prefix}/{key.path}")
    except KeyNotFound:
        # Servers make a backend with the defaults.
        servers = f"{prefix}/{key.directory}/{ObjectKind.SERVER.value}"
        return key.kind is ObjectKind.BACKEND and bool(store.list(servers).entries)
    return True


def _delete(store: Store, table: Table, request: DeleteObject) -> tuple[object, WrittenKeys]:
    key = request.key
    check_delete(key, table)
    path, directory = f"{table.prefix}/{key.path}", f"{table.prefix}/{key.directory}"
    if isinstance(request.condition, AtIndex):
        # A directory has no index to compare: delete the object's own key first.
        store.delete(path, when=request.condition)
        if key.is_directory:
            with contextlib.suppress(KeyNotFound):  # nothing else was in it
                store.delete(directory, recursive=True)
    else:
        store.delete(directory, recursive=key.is_directory)
    return {"message": f"{key.id} deleted"}, {path: None}


def _error_response(error: ApiError) -> ApiResponse:
    return ApiResponse(
        {"message": str(error)}, error.status, _ALLOW if error.status == 405 else b""
    )


def _reply(exchange: Exchange, response: ApiResponse) -> None:
    body = msgspec.json.encode(response.document)
    exchange.reply(
        b"%b%bContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n"
        % (STATUS_LINES[response.status], response.fields, len(body)),
        body,
    )
