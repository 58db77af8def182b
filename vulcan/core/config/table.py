"""The routing table: the meaning of all keys at one index of the store. It is immutable.

`Table.advanced` applies changes of keys and returns the next table. It copies only the maps that
change and decodes only the changed keys: changing one server among ten thousand frontends copies
one small map. Only the hosts whose frontends changed are indexed again.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar, assert_never

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from vulcan.core.config.backend import Backend, Server, default_backend
from vulcan.core.config.frontend import Frontend, Middleware
from vulcan.core.config.host import Host
from vulcan.core.config.listener import Listener
from vulcan.core.config.model import NO_SEAL_KEYS, Entity, decode_or_close
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.keys import ObjectKey, ObjectKind, parse_path
from vulcan.core.middleware.specs import ClosedSpec
from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.route import Route, compile_route
from vulcan.core.routing.router import Router, Rule, rules_of

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that the proxy needs to know to route a request."""

    prefix: str  # "/vulcand"
    index: int = 0
    frontends: Mapping[str, Frontend] = field(default_factory=dict)
    backends: Mapping[str, Backend] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, Server]] = field(default_factory=dict)  # by backend, id
    middlewares: Mapping[str, Mapping[str, Middleware]] = field(default_factory=dict)  # by frontend
    hosts: Mapping[str, Host] = field(default_factory=dict)
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    router: Router = field(default_factory=Router)
    bytewise: bool = False  # order routes as vulcand does
    seal_keys: SealKeys = NO_SEAL_KEYS
    # A text in routes and its replacement; each makes one more route.
    aliases: tuple[tuple[str, str], ...] = ()

    def empty(self) -> "Table":
        """Return a table without keys, with the same settings."""
        return Table(
            self.prefix, bytewise=self.bytewise, seal_keys=self.seal_keys, aliases=self.aliases
        )

    def needs_peer(self) -> bool:
        """Whether any route looks at the client's address."""
        if any("ClientIP" in other for _, other in self.aliases):
            return True
        return any(frontend.route.needs_peer for frontend in self.frontends.values())

    def find(self, view: RequestView) -> Frontend | None:
        """Return the frontend of a request."""
        name = self.router.find(view)
        return None if name is None else self.frontends[name]

    def backend(self, id_: str) -> Backend | None:
        """Return a backend. Servers without a `backend` key belong to one with the defaults."""
        if found := self.backends.get(id_):
            return found
        return default_backend(id_) if id_ in self.servers else None

    def distinct_servers(self, backend: str) -> tuple[Server, ...]:
        """Return a backend's servers in the order of their ids, each address once."""
        servers = self.servers.get(backend, {})
        by_address = {servers[name].address: servers[name] for name in sorted(servers)}
        return tuple(by_address.values())

    def chain(self, frontend: str) -> tuple[Middleware, ...]:
        """Return a frontend's middlewares, the outermost first."""
        found = self.middlewares.get(frontend, {}).values()
        return tuple(sorted(found, key=lambda each: (each.priority, each.id)))

    def find_object(self, key: ObjectKey) -> Entity | None:
        """Return the object with a key."""
        match key.kind:
            case ObjectKind.HOST:
                return self.hosts.get(key.id)
            case ObjectKind.LISTENER:
                return self.listeners.get(key.id)
            case ObjectKind.BACKEND:
                return self.backend(key.id)
            case ObjectKind.SERVER:
                return self.servers.get(key.parent, {}).get(key.id)
            case ObjectKind.FRONTEND:
                return self.frontends.get(key.id)
            case ObjectKind.MIDDLEWARE:
                return self.middlewares.get(key.parent, {}).get(key.id)
            case _:
                assert_never(key.kind)

    def objects(self, kind: ObjectKind, parent: str = "") -> Iterable[Entity]:
        """Return all objects of a kind that are in `parent`."""
        match kind:
            case ObjectKind.HOST:
                return self.hosts.values()
            case ObjectKind.LISTENER:
                return self.listeners.values()
            case ObjectKind.BACKEND:
                names = {*self.backends, *self.servers}
                return [backend for name in names if (backend := self.backend(name))]
            case ObjectKind.SERVER:
                return self.servers.get(parent, {}).values()
            case ObjectKind.FRONTEND:
                return self.frontends.values()
            case ObjectKind.MIDDLEWARE:
                return self.middlewares.get(parent, {}).values()
            case _:
                assert_never(kind)

    def pending(self) -> dict[str, str]:
        """Return the frontends that can only respond with 503, with the reason."""
        unavailable = {
            name: reason
            for name, frontend in self.frontends.items()
            if (reason := self._why_unavailable(frontend.backend))
        }
        return {**unavailable, **self._closed()}

    def notes(self) -> dict[str, list[str]]:
        """Return notes for the operator about keys that are in force, by key."""
        notes: dict[str, list[str]] = {}
        for name, host in self.hosts.items():
            if host.notes:
                notes[self._key(ObjectKind.HOST, name)] = list(host.notes)
        for name in self.middlewares.keys() - self.frontends.keys():
            notes[f"{self.prefix}/frontends/{name}/middlewares"] = ["the frontend is not defined"]
        for name, winner in self.router.shadowed().items():
            text = f"gets no requests: frontend {winner} has the same route and goes first"
            notes.setdefault(self._key(ObjectKind.FRONTEND, name), []).append(text)
        return notes

    def advanced(self, changes: Changes) -> "Table":
        """Return the table after changes. `admission` checked all their entries."""
        builder = _TableBuilder(self.empty() if changes.reset else self)
        for key in changes.removed:
            builder.remove(key)
        for entry in changes.entries:
            builder.put(entry)
        return builder.table(changes.index)

    def _key(self, kind: ObjectKind, id_: str) -> str:
        return f"{self.prefix}/{ObjectKey(kind, id_).path}"

    def _closed(self) -> dict[str, str]:
        """Return the frontends that an invalid middleware closes, with the reason."""
        return {
            name: f"middleware {each.id} may guard it, and is invalid: {each.spec.reason}; "
            "write it again, or remove it"
            for name in self.middlewares.keys() & self.frontends.keys()
            for each in self.middlewares[name].values()
            if isinstance(each.spec, ClosedSpec)
        }

    def _why_unavailable(self, backend: str) -> str:
        if backend not in self.backends and backend not in self.servers:
            return f"backend {backend} is not defined"
        return "" if self.servers.get(backend) else f"backend {backend} has no servers"


class _TableBuilder:
    """Collects changes to a table. None stands for a removed object."""

    def __init__(self, before: Table) -> None:
        self._before = before
        self._frontends: dict[str, Frontend | None] = {}
        self._backends: dict[str, Backend | None] = {}
        self._servers: dict[str, dict[str, Server | None]] = {}
        self._middlewares: dict[str, dict[str, Middleware | None]] = {}
        self._hosts: dict[str, Host | None] = {}
        self._listeners: dict[str, Listener | None] = {}

    def put(self, entry: Entry) -> None:
        path = entry.key.removeprefix(self._before.prefix + "/")
        entity: Entity = decode_or_close(path, entry.value, self._before.seal_keys)
        match entity:
            case Frontend():
                self._frontends[entity.id] = entity
            case Backend():
                self._backends[entity.id] = entity
            case Server():
                self._servers.setdefault(entity.backend, {})[entity.id] = entity
            case Middleware():
                self._middlewares.setdefault(entity.frontend, {})[entity.id] = entity
            case Host():
                self._hosts[entity.name] = entity
            case Listener():
                self._listeners[entity.id] = entity
            case _:
                assert_never(entity)

    def remove(self, key: str) -> None:
        parsed = parse_path(key.removeprefix(self._before.prefix + "/"))
        if parsed is None:
            return  # a key that was never admitted
        match parsed.kind:
            case ObjectKind.FRONTEND:
                self._frontends[parsed.id] = None
            case ObjectKind.BACKEND:
                self._backends[parsed.id] = None
            case ObjectKind.SERVER:
                self._servers.setdefault(parsed.parent, {})[parsed.id] = None
            case ObjectKind.MIDDLEWARE:
                self._middlewares.setdefault(parsed.parent, {})[parsed.id] = None
            case ObjectKind.HOST:
                self._hosts[parsed.id.lower()] = None
            case ObjectKind.LISTENER:
                self._listeners[parsed.id] = None
            case _:
                assert_never(parsed.kind)

    def table(self, index: int) -> Table:
        before = self._before
        return replace(
            before,
            index=index,
            frontends=_merged(before.frontends, self._frontends),
            backends=_merged(before.backends, self._backends),
            servers=_merged_nested(before.servers, self._servers),
            middlewares=_merged_nested(before.middlewares, self._middlewares),
            hosts=_merged(before.hosts, self._hosts),
            listeners=_merged(before.listeners, self._listeners),
            router=self._router(),
        )

    def _router(self) -> Router:
        old = self._rules(self._before.frontends)
        new = self._rules(self._frontends)
        if old == new:
            return self._before.router
        return self._before.router.replaced(old - new, new - old)

    def _rules(self, frontends: Mapping[str, Frontend | None]) -> set[Rule]:
        """Return the rules of the frontends that changed."""
        return {
            rule
            for name in self._frontends
            if (frontend := frontends.get(name)) is not None
            for rule in self._rules_of(frontend)
        }

    def _rules_of(self, frontend: Frontend) -> Iterator[Rule]:
        number, bytewise = 0, self._before.bytewise
        for route in (frontend.route, *aliased(frontend.route, self._before.aliases)):
            rules = rules_of(frontend.id, route, frontend.priority, bytewise=bytewise, first=number)
            number += len(rules)
            yield from rules


def aliased(route: Route, aliases: tuple[tuple[str, str], ...]) -> list[Route]:
    """Return the further routes that aliases make of one; invalid ones are left out."""
    routes = []
    for text, other in aliases:
        if text in route.text:
            with suppress(ExpressionError):
                routes.append(compile_route(route.text.replace(text, other)))
    return routes


def _merged(before: Mapping[str, _V], changed: Mapping[str, _V | None]) -> Mapping[str, _V]:
    """Return the map after changes; the same map when nothing changed."""
    if not changed:
        return before
    after = dict(before)
    for name, value in changed.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = value
    return MappingProxyType(after)


def _merged_nested(
    before: Mapping[str, Mapping[str, _V]], changed: Mapping[str, Mapping[str, _V | None]]
) -> Mapping[str, Mapping[str, _V]]:
    after: dict[str, Mapping[str, _V] | None] = {
        outer: _merged(before.get(outer, {}), inner) or None for outer, inner in changed.items()
    }
    return _merged(before, after)
