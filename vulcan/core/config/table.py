"""The routing table: what the keys mean, immutable, one after the other.

`Table.advanced` applies changes of keys and makes the next table. It copies the maps it
touches and decodes the changed keys alone, so one server among ten thousand frontends costs
a copy of one small map; routes are indexed anew only for the hosts whose frontends changed.
"""

from collections.abc import Iterator, Mapping
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
from vulcan.core.config.model import NO_SEAL_KEYS, Entity, decode
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.route import Route, compile_route
from vulcan.core.routing.router import Router, Rule, rules_of

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Table:
    """Everything a request needs to know, as the keys stood at `index`."""

    prefix: str  # "/vulcand"
    index: int = 0
    frontends: Mapping[str, Frontend] = field(default_factory=dict)
    backends: Mapping[str, Backend] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, Server]] = field(default_factory=dict)  # by backend, id
    middlewares: Mapping[str, Mapping[str, Middleware]] = field(default_factory=dict)  # by frontend
    hosts: Mapping[str, Host] = field(default_factory=dict)
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    router: Router = field(default_factory=Router)
    bytewise: bool = False  # vulcand's order of routes
    seal: SealKeys = NO_SEAL_KEYS
    # Texts in routes with what else may stand in their place: each makes one more route.
    aliases: tuple[tuple[str, str], ...] = ()

    def empty(self) -> "Table":
        """Return the table of no keys, under the same terms."""
        return Table(self.prefix, bytewise=self.bytewise, seal=self.seal, aliases=self.aliases)

    def needs_peer(self) -> bool:
        """Whether any route looks at the client's address."""
        if any("ClientIP" in other for _, other in self.aliases):
            return True
        return any(frontend.route.needs_peer for frontend in self.frontends.values())

    def find(self, view: RequestView) -> Frontend | None:
        """Return the frontend that answers a request."""
        name = self.router.find(view)
        return None if name is None else self.frontends[name]

    def backend(self, id_: str) -> Backend | None:
        """Return a backend; servers without a `backend` key belong to one with the defaults."""
        if found := self.backends.get(id_):
            return found
        return default_backend(id_) if id_ in self.servers else None

    def distinct_servers(self, id_: str) -> tuple[Server, ...]:
        """Return a backend's servers in order of id, each address once."""
        servers = self.servers.get(id_, {})
        by_address = {servers[name].address: servers[name] for name in sorted(servers)}
        return tuple(by_address.values())

    def chain(self, frontend: str) -> tuple[Middleware, ...]:
        """Return a frontend's middlewares, the outermost first."""
        found = self.middlewares.get(frontend, {}).values()
        return tuple(sorted(found, key=lambda each: (each.priority, each.id)))

    def pending(self) -> dict[str, str]:
        """Return the frontends that can only answer 503, with the reason."""
        return {
            name: reason
            for name, frontend in self.frontends.items()
            if (reason := self._lacks(frontend.backend))
        }

    def notes(self) -> dict[str, list[str]]:
        """Return what an operator should know about keys that are in force, by key."""
        notes: dict[str, list[str]] = {}
        for name, host in self.hosts.items():
            if host.notes:
                notes[f"{self.prefix}/hosts/{name}/host"] = list(host.notes)
        for name in self.middlewares.keys() - self.frontends.keys():
            notes[f"{self.prefix}/frontends/{name}/middlewares"] = ["the frontend is not defined"]
        for name, winner in self.router.hidden().items():
            text = f"never answers: frontend {winner} has the same route and goes first"
            notes.setdefault(self._frontend_key(name), []).append(text)
        return notes

    def advanced(self, changes: Changes) -> "Table":
        """Return the table after changes whose entries are all good (`quarantine` saw to it)."""
        next_ = _Next(self.empty() if changes.reset else self)
        for key in changes.removed:
            next_.remove(key)
        for entry in changes.entries:
            next_.put(entry)
        return next_.table(changes.index)

    def _lacks(self, backend: str) -> str:
        if backend not in self.backends and backend not in self.servers:
            return f"backend {backend} is not defined"
        return "" if self.servers.get(backend) else f"backend {backend} has no servers"

    def _frontend_key(self, name: str) -> str:
        return f"{self.prefix}/frontends/{name}/frontend"


class _Next:
    """The table in the making."""

    def __init__(self, before: Table) -> None:
        self._before = before
        self._frontends: dict[str, Frontend | None] = {}
        self._backends: dict[str, Backend | None] = {}
        self._servers: dict[str, dict[str, Server | None]] = {}
        self._middlewares: dict[str, dict[str, Middleware | None]] = {}
        self._hosts: dict[str, Host | None] = {}
        self._listeners: dict[str, Listener | None] = {}

    def put(self, entry: Entry) -> None:
        before = self._before
        path = entry.key.removeprefix(before.prefix + "/")
        entity: Entity = decode(path, entry.value, before.seal)
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
        match key.removeprefix(self._before.prefix + "/").split("/"):
            case ["frontends", id_, "frontend"]:
                self._frontends[id_] = None
            case ["backends", id_, "backend"]:
                self._backends[id_] = None
            case ["backends", backend, "servers", id_]:
                self._servers.setdefault(backend, {})[id_] = None
            case ["frontends", frontend, "middlewares", id_]:
                self._middlewares.setdefault(frontend, {})[id_] = None
            case ["hosts", name, "host"]:
                self._hosts[name.lower()] = None
            case ["listeners", id_]:
                self._listeners[id_] = None
            case _:
                pass  # a key that was never taken in

    def table(self, index: int) -> Table:
        before = self._before
        return replace(
            before,
            index=index,
            frontends=_merged(before.frontends, self._frontends),
            backends=_merged(before.backends, self._backends),
            servers=_nested(before.servers, self._servers),
            middlewares=_nested(before.middlewares, self._middlewares),
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
        """The rules of frontends that changed."""
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
    """Return the further routes that aliases make of one; one that is none is left out."""
    made = []
    for text, other in aliases:
        if text in route.text:
            with suppress(ExpressionError):
                made.append(compile_route(route.text.replace(text, other)))
    return made


def _merged(before: Mapping[str, _V], changed: Mapping[str, _V | None]) -> Mapping[str, _V]:
    """Return the map with changes in it; None removes. The same map when nothing changed."""
    if not changed:
        return before
    after = dict(before)
    for name, value in changed.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = value
    return MappingProxyType(after)


def _nested(
    before: Mapping[str, Mapping[str, _V]], changed: Mapping[str, Mapping[str, _V | None]]
) -> Mapping[str, Mapping[str, _V]]:
    after: dict[str, Mapping[str, _V] | None] = {
        outer: _merged(before.get(outer, {}), inner) or None for outer, inner in changed.items()
    }
    return _merged(before, after)
