"""The API in vulcand's paths and JSON: reading from the table in force, writing to the store.

Writes go through a thread, for the store may be slow; what they write comes back as any change.
"""

import asyncio
import hmac
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from coordinator.client import (
    AtIndex,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    MirrorStatus,
    Store,
    StoreError,
    Unavailable,
)
from coordinator.client.core.store_protocol import PutCondition
from daemonkit.http.server import STATUS_LINES, Exchange
from vulcan.control import apply
from vulcan.control.heartbeat import read_cluster_status
from vulcan.core.config.admission import RejectedKey
from vulcan.core.config.backend import Backend
from vulcan.core.config.host import Host
from vulcan.core.config.model import Entity, to_json
from vulcan.core.config.secretbox import NONCE_BYTES
from vulcan.core.config.table import Table
from vulcan.core.control import api_requests
from vulcan.core.control.api_requests import ApiError
from vulcan.core.control.explain import ExplainQuery, explain
from vulcan.core.control.node_status import NodeStatus, cluster_status
from vulcan.core.control.revision import RevisionConflict
from vulcan.core.control.top import Windows, WindowTotals, anomalies

TOP_LIMIT = 100
_OK = {"Status": "ok"}
_NOT_FOUND = {"message": "Object not found"}
Answer = tuple[int, object]


@dataclass(frozen=True, slots=True)
class NodeState:
    """What the daemon knows besides the table."""

    index: int
    refused: Mapping[str, RejectedKey]
    down: tuple[tuple[str, str], ...]
    store: MirrorStatus
    unbound: Mapping[str, str]
    level: str
    report: NodeStatus
    modified: Callable[[str], int | None]  # of a key
    windows: Callable[[], Windows]


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What the API needs of the daemon; without a token, everyone who can reach it may use it.

    `watch` makes workers tell what happens, and returns in how many seconds they will have.
    """

    table: Callable[[], Table]
    store: Store
    token: str
    live: Callable[[], NodeState]
    watch: Callable[[], float]
    log: Callable[[str], None]  # from a level on


def answer(table: Table, target: str) -> Answer:
    """Return status and document for a GET of an object or a list."""
    match api_requests.segments_of(target):
        case ["v1" | "v2", "status"]:
            return 200, _OK
        case ["v2", "hosts"]:
            return 200, {"Hosts": _listed(table.hosts.values())}
        case ["v2", "hosts", name]:
            return _one(table.hosts.get(name))
        case ["v2", "listeners"]:
            return 200, {"Listeners": _listed(table.listeners.values())}
        case ["v2", "listeners", id_]:
            return _one(table.listeners.get(id_))
        case ["v2", "backends"]:
            return 200, {"Backends": _listed(_backends(table))}
        case ["v2", "backends", id_]:
            return _one(table.backend(id_))
        case ["v2", "backends", id_, "servers"] if table.backend(id_):
            return 200, {"Servers": _listed(table.servers.get(id_, {}).values())}
        case ["v2", "backends", backend, "servers", id_]:
            return _one(table.servers.get(backend, {}).get(id_))
        case ["v2", "frontends"]:
            return 200, {"Frontends": _listed(table.frontends.values())}
        case ["v2", "frontends", id_]:
            return _one(table.frontends.get(id_))
        case ["v2", "frontends", id_, "middlewares"] if id_ in table.frontends:
            return 200, {"Middlewares": _listed(table.chain(id_))}
        case ["v2", "frontends", frontend, "middlewares", id_]:
            return _one(table.middlewares.get(frontend, {}).get(id_))
        case _:
            return _one(None)


def application(served: ApiContext) -> Callable[[Exchange], None]:
    """Return what answers the API's exchanges."""

    def serve(exchange: Exchange) -> None:
        method, target = exchange.head.method, exchange.head.target.decode("latin-1")
        if not _may(served, exchange):
            field = b'WWW-Authenticate: Bearer realm="vulcand"\r\n'
            _reply(exchange, 401, {"message": "the API asks for its token"}, field)
        elif method in {b"GET", b"HEAD"} and target.startswith("/v2/top/"):
            _start(_watched(served, exchange, target))
        elif method in {b"GET", b"HEAD"} and api_requests.segments_of(target) == ["v2", "nodes"]:
            _start(_nodes(served, exchange))
        elif method in {b"GET", b"HEAD"}:
            _reply(exchange, *_read(served, target), _etag(served, target))
        elif method == b"PUT" and api_requests.segments_of(target) == ["v2", "log", "severity"]:
            _reply(exchange, *_severity(served, exchange, target))
        elif method in {b"POST", b"DELETE"}:
            _start(_write(served, exchange, target))
        else:
            _reply(
                exchange,
                405,
                {"message": "use GET, POST or DELETE"},
                b"Allow: GET, HEAD, POST, DELETE\r\n",
            )

    return serve


_in_flight: set[asyncio.Task[None]] = set()


def _start(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _in_flight.add(task)
    task.add_done_callback(_in_flight.discard)


async def _watched(served: ApiContext, exchange: Exchange, target: str) -> None:
    await asyncio.sleep(served.watch())
    _reply(exchange, *_read(served, target))


def _may(served: ApiContext, exchange: Exchange) -> bool:
    given = exchange.head.fields.get(b"authorization", b"")
    wanted = b"Bearer " + served.token.encode()
    return not served.token or hmac.compare_digest(given, wanted)


def _read(served: ApiContext, target: str) -> Answer:
    table = served.table()
    parameters = dict(parse_qsl(target.partition("?")[2]))
    match api_requests.segments_of(target):
        case ["v2", "top", "frontends" | "servers" as kind]:
            return 200, _top(table, served.live(), kind, parameters)
        case ["v2", "explain"]:
            fields = parse_qsl(target.partition("?")[2])
            headers = tuple(
                (name.strip(), value.strip())
                for key, field in fields
                if key == "header"
                for name, _, value in (field.partition(":"),)
            )
            method, peer = parameters.get("method", "GET"), parameters.get("peer", "")
            query = ExplainQuery(method, parameters.get("url", ""), headers, peer)
            return 200, explain(table, query, served.live().down)
        case ["v2", "log", "severity"]:
            return 200, {"severity": served.live().level}
        case ["v2", "node"]:
            live = served.live()
            return 200, {
                "Index": live.index,
                "Store": live.store,
                "Refused": {key: why.reason for key, why in live.refused.items()},
                "Down": [f"{backend} {address}" for backend, address in live.down],
                "Unbound": live.unbound,
                "Notes": table.notes(),
                "Pending": table.pending(),
            }
        case _:
            return answer(table, target)


async def _nodes(served: ApiContext, exchange: Exchange) -> None:
    table, own = served.table(), served.live().report
    try:
        known = await asyncio.to_thread(read_cluster_status, served.store, table.prefix, own)
    except StoreError as error:
        # What this node knows of itself is better than nothing.
        known, own = cluster_status([(own, 0.0)], 0), msgspec.structs.replace(own, store=str(error))
    _reply(exchange, 200, {"Nodes": known})


def _etag(served: ApiContext, target: str) -> bytes:
    """The field that says which write an object is from, for If-Match."""
    modified = served.live().modified(f"{served.table().prefix}/{api_requests.key_of(target)}")
    return b"" if modified is None else b'ETag: "%d"\r\n' % modified


def _severity(served: ApiContext, exchange: Exchange, target: str) -> Answer:
    try:
        level = api_requests.severity(target, exchange.head.fields, exchange.body)
    except ApiError as bad:
        return bad.status, {"message": str(bad)}
    served.log(level)
    return 200, {"message": f"Severity has been updated to {level}"}


async def _write(served: ApiContext, exchange: Exchange, target: str) -> None:
    _reply(exchange, *await asyncio.to_thread(_written, served, exchange, target))


def _written(served: ApiContext, exchange: Exchange, target: str) -> Answer:
    head = exchange.head
    conditional = False
    try:
        when = api_requests.condition(head.fields, target)
        conditional = when is not None
        return _changed(served, head.method, target, exchange.body, when)
    except ApiError as bad:
        return bad.status, {"message": str(bad)}
    except (KeyNotFound, KeyExists, CompareFailed) as error:
        if conditional:
            return 412, {"message": f"it is not as the request supposes: {error}"}
        if isinstance(error, KeyNotFound):
            return 404, _NOT_FOUND
        return 409, {"message": str(error)}
    except RevisionConflict as error:
        return 409, {"message": str(error)}
    except Unavailable as error:
        return 503, {"message": f"the store does not answer: {error}"}
    except StoreError as error:
        return 500, {"message": str(error)}


def _changed(
    served: ApiContext, method: bytes, target: str, body: bytes, when: PutCondition | None
) -> Answer:
    table, store = served.table(), served.store
    match method, api_requests.segments_of(target):
        case b"POST", ["v2", "apply"]:
            return 200, apply.apply(store, table, body)
        case b"POST", ["v2", "rollback"]:
            return 200, apply.rollback(store, table, body)
        case b"POST", ["v2", "history"]:
            return 200, {"Revisions": apply.history(store, table.prefix)}
        case b"POST", _:
            made = api_requests.put(target, body, table.seal, os.urandom(NONCE_BYTES))
            if "/servers/" in made.path and table.backend(made.path.split("/")[1]) is None:
                raise ApiError(404, "the backend is not defined")
            store.put(f"{table.prefix}/{made.path}", made.value, ttl_s=made.ttl_s, when=when)
            return 200, made.shown
        case _:
            gone = api_requests.delete(target, table)
            if isinstance(when, AtIndex):
                # Of a directory no index can be compared: its own file goes first.
                store.delete(f"{table.prefix}/{api_requests.key_of(target)}", when=when)
                if not gone.recursive:
                    return 200, {"message": gone.message}
            store.delete(f"{table.prefix}/{gone.path}", recursive=gone.recursive)
            return 200, {"message": gone.message}


def _reply(exchange: Exchange, status: int, document: object, fields: bytes = b"") -> None:
    body = msgspec.json.encode(document)
    exchange.reply(
        b"%b%bContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n"
        % (STATUS_LINES[status], fields, len(body)),
        body,
    )


def _top(table: Table, live: NodeState, kind: str, query: Mapping[str, str]) -> dict[str, object]:
    wanted = query.get("backendId", "")
    limit = int(query["limit"]) if query.get("limit", "").isdigit() else TOP_LIMIT
    windows = live.windows()
    rows: list[tuple[WindowTotals, dict[str, object]]] = []
    if kind == "frontends":
        for frontend in table.frontends.values():
            if wanted in {"", frontend.backend}:
                recent = windows.get(("frontend", frontend.id)) or WindowTotals()
                rows.append((recent, to_json(frontend)))
    else:
        for backend in table.servers:
            for server in table.distinct_servers(backend) if wanted in {"", backend} else ():
                recent = windows.get(("server", f"{backend} {server.address}")) or WindowTotals()
                rows.append((recent, {**to_json(server), "Backend": backend}))
    rows.sort(key=lambda row: row[0].rank)
    # Servers are compared with those that do the same work.
    compared = kind == "servers" and wanted
    found = anomalies([recent for recent, _ in rows]) if compared else [[] for _ in rows]
    shown = [
        {**document, "Stats": recent.stats(found[at])}
        for at, (recent, document) in enumerate(rows[:limit])
    ]
    return {kind.capitalize(): shown}


def _backends(table: Table) -> list[Backend]:
    ids = {*table.backends, *table.servers}
    return [backend for id_ in ids if (backend := table.backend(id_))]


def _listed(entities: Iterable[Entity]) -> list[object]:
    return [to_json(entity) for entity in sorted(entities, key=_name)]


def _one(entity: Entity | None) -> Answer:
    return (404, _NOT_FOUND) if entity is None else (200, to_json(entity))


def _name(entity: Entity) -> str:
    return entity.name if isinstance(entity, Host) else entity.id
