"""The read-only API: the objects in force, in vulcand's paths and JSON."""

from collections.abc import Callable, Iterable
from urllib.parse import unquote

import msgspec

from daemonkit.http.server import STATUS_LINES, Exchange
from vulcan.listening import Host
from vulcan.model import Backend, Entity, to_json
from vulcan.table import Table

_OK = {"Status": "ok"}


def answer(table: Table, target: str) -> tuple[int, object]:
    """Return status and document for a GET of `target`."""
    segments = [unquote(part) for part in target.partition("?")[0].strip("/").split("/")]
    match segments:
        case ["v1" | "v2", "status"]:
            return 200, _OK
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
        case _:
            return _one(None)


def application(table: Callable[[], Table]) -> Callable[[Exchange], None]:
    """Return what answers the API's exchanges from the table in force."""

    def serve(exchange: Exchange) -> None:
        extra = b""
        if exchange.head.method in {b"GET", b"HEAD"}:
            status, document = answer(table(), exchange.head.target.decode("latin-1"))
        else:
            status, extra = 405, b"Allow: GET, HEAD\r\n"
            document = {"message": "this API only reads: change the keys in the store"}
        body = msgspec.json.encode(document)
        exchange.reply(
            b"%b%bContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n"
            % (STATUS_LINES[status], extra, len(body)),
            body,
        )

    return serve


def _backends(table: Table) -> list[Backend]:
    ids = {*table.backends, *table.servers}
    return [backend for id_ in ids if (backend := table.backend(id_))]


def _listed(entities: Iterable[Entity]) -> list[object]:
    return [to_json(entity) for entity in sorted(entities, key=_name)]


def _one(entity: Entity | None) -> tuple[int, object]:
    if entity is None:
        return 404, {"message": "Object not found"}
    return 200, to_json(entity)


def _name(entity: Entity) -> str:
    return entity.name if isinstance(entity, Host) else entity.id
