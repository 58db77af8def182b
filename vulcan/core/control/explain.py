"""Explain where a request would go, and why. The answer comes from the table in force."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from vulcan.core.balancing.ejection import in_rotation
from vulcan.core.balancing.policies import LoadBalancer
from vulcan.core.config.backend import Backend, Server
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.table import Table
from vulcan.core.routing.normal_path import normalize
from vulcan.core.routing.request_view import RequestView, normal_host
from vulcan.core.routing.router import Rule

CANDIDATES_MAX = 50


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """A request to explain."""

    method: str
    url: SplitResult
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""


def split_url(text: str) -> SplitResult:
    """Split `http://HOST/PATH`, `HOST/PATH` or `/PATH`. Raises ValueError."""
    return urlsplit(text if "://" in text or text.startswith("/") else f"http://{text}")


def explain(
    table: Table, query: ExplainQuery, down: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return the candidates with their first failing condition, the middlewares and the server.

    `down` are the servers, by backend and address, that fail their health checks.
    """
    view, winner, otherwise = _find(table, query)
    rules = table.router.candidates(view)
    found: dict[str, Any] = {
        "Index": table.index,
        "Host": view.host.decode(),
        "Path": view.path.decode("utf-8", "backslashreplace"),
        "Candidates": [_candidate(table, rule, view) for rule in rules[:CANDIDATES_MAX]],
        "Others": max(0, len(rules) - CANDIDATES_MAX),
        "Frontend": winner.id if winner else None,
    }
    if winner is None:
        return {**found, "Answer": otherwise}
    backend = table.backend(winner.backend)
    servers = table.distinct_servers(winner.backend)
    found["Middlewares"] = [
        {"Id": each.id, "Type": each.document.type, "Priority": each.priority}
        for each in table.chain(winner.id)
    ]
    found["Backend"] = winner.backend
    candidates = [_CandidateServer(each, (each.backend, each.address) in down) for each in servers]
    found["Servers"] = [
        {
            "Id": each.server.id,
            "URL": each.server.document.url,
            "Weight": each.server.weight,
            "Down": each.down,
        }
        for each in candidates
    ]
    if backend is not None:
        found["Server"], found["Why"] = _choose(candidates, backend)
        found["Balance"] = backend.balance
        found["Timeouts"] = {"Dial": backend.dial_s, "Read": backend.read_s}
    pending = table.pending().get(winner.id)
    found["Answer"] = f"503: {pending}" if pending else f"goes to a server of {winner.backend}"
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _CandidateServer:
    """An idle server, as the load balancer sees it."""

    server: Server
    down: bool
    in_flight: int = 0

    @property
    def weight(self) -> float:
        return float(self.server.weight)

    @property
    def configured_weight(self) -> float:
        return float(self.server.weight)

    def is_healthy(self, now_s: float) -> bool:  # noqa: ARG002 - the interface's
        return not self.down


def _choose(servers: Sequence[_CandidateServer], backend: Backend) -> tuple[str | None, str]:
    """Return the server that a new worker would choose first, and how it chooses."""
    rotation = in_rotation(servers, 0.0)
    if not rotation:
        return None, "all servers have weight 0"
    first = LoadBalancer(0, lambda: 0.0).pick(rotation, backend.balance).server.id
    if len(rotation) == 1:
        return first, "the only available server"
    sticky = ", unless the client's cookie names another" if backend.sticky else ""
    reasons = {
        "rr": "in turn, by weight",
        "p2c": "the less busy of two random ones",
        "leastconn": "the least busy",
    }
    return first, f"one of {len(rotation)}, {reasons[backend.balance]}{sticky}"


def _find(table: Table, query: ExplainQuery) -> tuple[RequestView, Frontend | None, str]:
    """Return the request as routes see it, its frontend, and the answer without a frontend."""
    try:
        path = normalize((query.url.path or "/").encode())
    except ValueError as error:
        return _view(query, b""), None, f"400: {error}"
    view = _view(query, path.matched)
    winner = table.find(view)
    if table.find(view.with_path(path.lenient)) is not winner:
        return view, None, "400: servers could read the path as that of another frontend"
    return view, winner, "404: no route matches"


def _view(query: ExplainQuery, path: bytes) -> RequestView:
    named = (v.partition(":")[0] for k, v in query.headers if k.lower() == "host")
    host = next(named, query.url.hostname)
    return RequestView(
        normal_host(host or "").encode(),
        path,
        query.method.encode(),
        tuple((name.encode(), value.encode()) for name, value in query.headers),
        query.url.query.encode(),
        query.peer.encode(),
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
