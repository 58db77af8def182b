"""Why a request goes where it goes: the very table that routes, asked aloud."""

from typing import Any
from urllib.parse import urlsplit

from vulcan.route import Facts, normal_host
from vulcan.router import Rule
from vulcan.table import Table

CANDIDATES_MAX = 50


def explain(
    table: Table, method: str, url: str, headers: tuple[tuple[str, str], ...] = (), peer: str = ""
) -> dict[str, Any]:
    """Return the candidates with their first failing condition, the chain and the servers."""
    facts = _facts(method, url, headers, peer)
    rules = table.router.candidates(facts)
    winner = table.find(facts)
    found: dict[str, Any] = {
        "Index": table.index,
        "Host": facts.host.decode(),
        "Path": facts.path.decode(),
        "Candidates": [_candidate(table, rule, facts) for rule in rules[:CANDIDATES_MAX]],
        "Others": max(0, len(rules) - CANDIDATES_MAX),
        "Frontend": winner.id if winner else None,
    }
    if winner is None:
        return {**found, "Answer": "404: no route matches"}
    backend = table.backend(winner.backend)
    servers = table.rotation(winner.backend)
    found["Middlewares"] = [
        {"Id": each.id, "Type": each.document.type, "Priority": each.priority}
        for each in table.chain(winner.id)
    ]
    found["Backend"] = winner.backend
    found["Servers"] = [
        {"Id": each.id, "URL": each.document.url, "Weight": each.weight} for each in servers
    ]
    if backend is not None:
        found["Balance"] = backend.balance
        found["Timeouts"] = {"Dial": backend.dial_s, "Read": backend.read_s}
    pending = table.pending().get(winner.id)
    found["Answer"] = f"503: {pending}" if pending else f"asks a server of {winner.backend}"
    return found


def _facts(method: str, url: str, headers: tuple[tuple[str, str], ...], peer: str) -> Facts:
    parts = urlsplit(url if "://" in url else f"http://{url.lstrip('/')}")
    host = next((v.partition(":")[0] for k, v in headers if k.lower() == "host"), parts.hostname)
    return Facts(
        normal_host(host or "").encode(),
        (parts.path or "/").encode(),
        method.encode(),
        tuple((name.encode(), value.encode()) for name, value in headers),
        parts.query.encode(),
        peer.encode(),
    )


def _candidate(table: Table, rule: Rule, facts: Facts) -> dict[str, Any]:
    failing = rule.branch.failing(facts)
    frontend = table.frontends[rule.frontend]
    return {
        "Frontend": rule.frontend,
        "Route": frontend.route.text,
        "Priority": frontend.priority,
        "Fails": None if failing is None else ("!" if failing.negated else "") + failing.text,
    }
