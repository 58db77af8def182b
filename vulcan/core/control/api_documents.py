"""The JSON documents of the API's responses, made from the table and from the node's state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vulcan.core.config.admission import RejectedKey
from vulcan.core.config.host import Host
from vulcan.core.config.model import Entity, to_json
from vulcan.core.config.table import Table
from vulcan.core.control.api_requests import ApiError, TopQuery
from vulcan.core.control.redaction import redacted
from vulcan.core.control.top import Windows, WindowTotals, anomalies
from vulcan.core.keys import ObjectKey, ObjectKind

NOT_FOUND = "Object not found"


@dataclass(frozen=True, slots=True)
class NodeState:
    """What the daemon knows of itself besides the table."""

    index: int
    store: object
    refused: Mapping[str, RejectedKey]
    down: tuple[tuple[str, str], ...]
    unbound: Mapping[str, str]


def object_document(table: Table, key: ObjectKey) -> object:
    """Return one object. Raises ApiError."""
    found = table.find_object(key)
    if found is None:
        raise ApiError(404, f"{NOT_FOUND}: {key.path}")
    return redacted(key.kind, to_json(found))


def list_document(table: Table, kind: ObjectKind, parent: str) -> dict[str, object]:
    """Return the objects of a kind, in the order of their ids. Raises ApiError."""
    if kind.parent and table.find_object(ObjectKey(kind.parent, parent)) is None:
        raise ApiError(404, f"{NOT_FOUND}: {ObjectKey(kind.parent, parent).path}")
    found: Iterable[Entity] = table.objects(kind, parent)
    return {f"{kind.title}s": [redacted(kind, to_json(each)) for each in sorted(found, key=_id)]}


def node_document(table: Table, node: NodeState) -> dict[str, object]:
    """Return this node's index, and what is not in force on it."""
    return {
        "Index": node.index,
        "Store": node.store,
        "Refused": {key: why.reason for key, why in node.refused.items()},
        "Down": [f"{backend} {address}" for backend, address in node.down],
        "Unbound": node.unbound,
        "Notes": table.notes(),
        "Pending": table.pending(),
    }


def top_document(table: Table, windows: Windows, query: TopQuery) -> dict[str, object]:
    """Return frontends or servers with their latest traffic, those with errors first."""
    rows: list[tuple[WindowTotals, dict[str, object]]] = []
    if query.kind is ObjectKind.FRONTEND:
        for frontend in table.frontends.values():
            if query.backend in {"", frontend.backend}:
                totals = windows.get(("frontend", frontend.id)) or WindowTotals()
                rows.append((totals, to_json(frontend)))
    else:
        for backend in table.servers:
            for server in table.distinct_servers(backend) if query.backend in {"", backend} else ():
                totals = windows.get(("server", f"{backend} {server.address}")) or WindowTotals()
                rows.append((totals, {**to_json(server), "Backend": backend}))
    rows.sort(key=lambda row: row[0].rank)
    # A server is compared only with the servers of the same backend.
    compared = query.kind is ObjectKind.SERVER and query.backend
    found = anomalies([totals for totals, _ in rows]) if compared else [[] for _ in rows]
    shown = [
        {**document, "Stats": totals.stats(found[at])}
        for at, (totals, document) in enumerate(rows[: query.limit])
    ]
    return {f"{query.kind.title}s": shown}


def _id(entity: Entity) -> str:
    return entity.name if isinstance(entity, Host) else entity.id
