"""Why a request goes where it goes: the very table that routes, query aloud."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vulcan.core.balancing.ejection import in_rotation
from vulcan.core.balancing.policies import LoadBalancer
from vulcan.core.config.backend import Backend, Server
from vulcan.core.config.table import Table
from vulcan.core.routing.request_view import RequestView, normal_host
from vulcan.core.routing.router import Rule

CANDIDATES_MAX = 50


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """A request to explain."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""


def explain(
    table: Table, query: ExplainQuery, down: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return the candidates with their first failing condition, the chain and the server.

    `down` are the servers, by backend and address, that fail their checks.
    """
    view = _facts(query.method, query.url, query.headers, query.peer)
    rules = table.router.candidates(view)
    winner = table.find(view)
    found: dict[str, Any] = {
        "Index": table.index,
        "Host": view.host.decode(),
        "Path": view.path.decode(),
        "Candidates": [_candidate(table, rule, view) for rule in rules[:CANDIDATES_MAX]],
        "Others": max(0, len(rules) - CANDIDATES_MAX),
        "Frontend": winner.id if winner else None,
    }
    if winner is None:
        return {**found, "Answer": "404: no route matches"}
    backend = table.backend(winner.backend)
    servers = table.distinct_servers(winner.backend)
    found["Middlewares"] = [
        {"Id": each.id, "Type": each.document.type, "Priority": each.priority}
        for each in table.chain(winner.id)
    ]
    found["Backend"] = winner.backend
    fit = [_Fit(each, (each.backend, each.address) in down) for each in servers]
    found["Servers"] = [
        {
            "Id": each.server.id,
            "URL": each.server.document.url,
            "Weight": each.server.weight,
            "Down": each.down,
        }
        for each in fit
    ]
    if backend is not None:
        found["Server"], found["Why"] = _chosen(fit, backend)
        found["Balance"] = backend.balance
        found["Timeouts"] = {"Dial": backend.dial_s, "Read": backend.read_s}
    pending = table.pending().get(winner.id)
    found["Answer"] = f"503: {pending}" if pending else f"asks a server of {winner.backend}"
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A server as balancing sees it, before it has anything to do."""

    server: Server
    down: bool
    in_flight: int = 0

    @property
    def weight(self) -> float:
        return float(self.server.weight)

    @property
    def configured_weight(self) -> float:
        return float(self.server.weight)

    def is_healthy(self, now_s: float) -> bool:  # noqa: ARG002 - what checks say holds until they speak
        return not self.down


def _chosen(servers: Sequence[_Fit], backend: Backend) -> tuple[str | None, str]:
    """The server that a worker at its first turn asks, and what else it might depend on."""
    rotation = in_rotation(servers, 0.0)
    if not rotation:
        return None, "no server carries any weight"
    first = LoadBalancer(0, lambda: 0.0).pick(rotation, backend.balance).server.id
    if len(rotation) == 1:
        return first, "the only one in rotation"
    sticky = ", unless the client's cookie names another" if backend.sticky else ""
    turns = {
        "rr": "in turn, by weight",
        "p2c": "the less busy of two drawn",
        "leastconn": "the least busy",
    }
    return first, f"one of {len(rotation)}, {turns[backend.balance]}{sticky}"


def _facts(method: str, url: str, headers: tuple[tuple[str, str], ...], peer: str) -> RequestView:
    parts = urlsplit(url if "://" in url else f"http://{url.lstrip('/')}")
    host = next((v.partition(":")[0] for k, v in headers if k.lower() == "host"), parts.hostname)
    return RequestView(
        normal_host(host or "").encode(),
        (parts.path or "/").encode(),
        method.encode(),
        tuple((name.encode(), value.encode()) for name, value in headers),
        parts.query.encode(),
        peer.encode(),
    )


def _candidate(table: Table, rule: Rule, view: RequestView) -> dict[str, Any]:
    failing = rule.alternative.failing(view)
    frontend = table.frontends[rule.frontend]
    return {
        "Frontend": rule.frontend,
        "Route": frontend.route.text,
        "Priority": frontend.priority,
        "Fails": None if failing is None else ("!" if failing.negated else "") + failing.text,
    }
