"""Routes: expressions compiled to conditions on a request.

A route becomes a list of alternatives, each a conjunction of conditions (disjunctive normal form),
so that the router can find each alternative by its host and path. `MATCHERS` has one row for each
call: what it looks at, how its pattern is compiled, and where placeholders end.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace

from vulcan.core.routing.expression import (
    AllOf,
    AnyOf,
    Call,
    Compare,
    ExpressionError,
    Node,
    Not,
    parse,
)
from vulcan.core.routing.linear_regexp import compile_regexp
from vulcan.core.routing.normal_path import path_literal, query_literal
from vulcan.core.routing.placeholders import Pattern, Prefix, Search, compile_pattern, rank_of
from vulcan.core.routing.request_view import RequestView, normal_host

__all__ = ["Alternative", "Condition", "ExpressionError", "Route", "compile_route"]

# `(a || b) && (c || d)` has four. A route with very many is a mistake and would fill the router.
ALTERNATIVES_MAX = 64


@dataclass(frozen=True, slots=True)
class Network:
    """A pattern that matches the addresses of one network."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    def matches(self, subject: bytes) -> bool:
        """Whether the address is in the network."""
        try:
            return ipaddress.ip_address(subject.decode("latin-1")) in self.network
        except ValueError:
            return False

    @property
    def rank(self) -> tuple[int, ...]:
        """Sort key: smaller networks come first."""
        return (1, -self.network.prefixlen)

    @property
    def key(self) -> bytes:
        """Equal for equal networks."""
        return str(self.network).encode()


@dataclass(frozen=True, slots=True)
class Condition:
    """One call of a route. `name` is that of the header or query parameter, if any."""

    matcher: str
    name: bytes
    pattern: Pattern | Network
    negated: bool = False
    text: str = ""

    def holds(self, view: RequestView) -> bool:
        """Whether the request satisfies it."""
        subject = MATCHERS[self.matcher].subject(view, self.name)
        return self.pattern.matches(subject) is not self.negated

    @property
    def key(self) -> tuple[str, bytes, bytes, bool]:
        """Equal for conditions that were written alike."""
        return (MATCHERS[self.matcher].looks_at, self.name, self.pattern.key, self.negated)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A conjunction of conditions. The router finds it by the first ones on host and path."""

    conditions: tuple[Condition, ...]
    host: Pattern | None
    path: Pattern | None
    rest: tuple[Condition, ...]

    @property
    def rank(self) -> tuple[object, ...]:
        """Sort key: more specific by host, path, method, then the number of other conditions."""
        methods = any(MATCHERS[each.matcher].looks_at == "Method" for each in self.rest)
        return (rank_of(self.host), rank_of(self.path), not methods, -len(self.rest))

    @property
    def key(self) -> tuple[bytes | None, bytes | None, frozenset[tuple[str, bytes, bytes, bool]]]:
        """Equal for alternatives that were written alike."""
        return (
            None if self.host is None else self.host.key,
            None if self.path is None else self.path.key,
            frozenset(each.key for each in self.rest),
        )

    def holds(self, view: RequestView) -> bool:
        """Whether a request satisfies every condition."""
        return (
            (self.path is None or self.path.matches(view.path))
            and (self.host is None or self.host.matches(view.host))
            and all(condition.holds(view) for condition in self.rest)
        )

    def failing(self, view: RequestView) -> Condition | None:
        """Return the first condition that a request does not satisfy."""
        return next((each for each in self.conditions if not each.holds(view)), None)


@dataclass(frozen=True, slots=True)
class Route:
    """A route: a request matches if it satisfies one of the alternatives."""

    text: str
    alternatives: tuple[Alternative, ...]

    @property
    def needs_peer(self) -> bool:
        """Whether a condition needs the client's address, which is not in the request head."""
        return any(each.matcher == "ClientIP" for b in self.alternatives for each in b.conditions)

    def holds(self, view: RequestView) -> bool:
        """Whether a request satisfies an alternative."""
        return any(alternative.holds(view) for alternative in self.alternatives)


def compile_route(text: str) -> Route:
    """Compile an expression. Raises ExpressionError, which names the position and the remedy."""
    alternatives = _alternatives(parse(text), negated=False)
    return Route(text, tuple(_branch(conditions) for conditions in alternatives))


def _branch(conditions: tuple[Condition, ...]) -> Alternative:
    def first(subject: str) -> Condition | None:
        return next(
            (
                each
                for each in conditions
                if MATCHERS[each.matcher].looks_at == subject and not each.negated
            ),
            None,
        )

    host, path = first("Host"), first("Path")
    return Alternative(
        conditions=conditions,
        host=host.pattern if host and not isinstance(host.pattern, Network) else None,
        path=path.pattern if path and not isinstance(path.pattern, Network) else None,
        rest=tuple(each for each in conditions if each is not host and each is not path),
    )


def _alternatives(node: Node, *, negated: bool) -> list[tuple[Condition, ...]]:
    """Return the alternatives of a tree; negations move down to the conditions."""
    match node:
        case Call():
            return [(replace(_condition(node), negated=negated),)]
        case Not(term):
            return _alternatives(term, negated=not negated)
        case Compare(_, operator, _, at):
            raise ExpressionError(
                f"the operator {operator} at character {at} is not allowed in a route"
            )
        case AllOf(terms) | AnyOf(terms):
            parts = [_alternatives(term, negated=negated) for term in terms]
            if isinstance(node, AllOf) is not negated:
                return _product(parts)
            return _bounded([conditions for part in parts for conditions in part])


def _product(parts: list[list[tuple[Condition, ...]]]) -> list[tuple[Condition, ...]]:
    found: list[tuple[Condition, ...]] = [()]
    for part in parts:
        found = _bounded([(*before, *each) for before in found for each in part])
    return found


def _bounded(found: list[tuple[Condition, ...]]) -> list[tuple[Condition, ...]]:
    if len(found) > ALTERNATIVES_MAX:
        raise ExpressionError(f"more than {ALTERNATIVES_MAX} alternatives: write several frontends")
    return found


@dataclass(frozen=True, slots=True)
class Matcher:
    """One row of the table: the arguments, the subject, and the compiler of the pattern."""

    arguments: tuple[str, ...]
    looks_at: str
    subject: Callable[[RequestView, bytes], bytes]
    compile: Callable[[str], Pattern | Network]


def _searching(text: str) -> Search:
    return Search(compile_regexp(text))


def _prefix(text: str) -> Prefix:
    if not text.startswith("/"):
        raise ExpressionError("a path prefix must begin with /")
    return Prefix(path_literal(text))


def _network(text: str) -> Network:
    try:
        return Network(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ExpressionError(f"{text!r} is not an address or network") from None


MATCHERS = {
    "Host": Matcher(
        ("pattern",),
        "Host",
        lambda view, _: view.host,
        lambda text: compile_pattern(normal_host(text), "."),
    ),
    "HostRegexp": Matcher(
        ("expression",),
        "Host",
        lambda view, _: view.host,
        lambda text: Search(compile_regexp(text, fold=True), fold=True),
    ),
    "Path": Matcher(
        ("pattern",),
        "Path",
        lambda view, _: view.path,
        lambda text: compile_pattern(text, "/", path_literal),
    ),
    "PathPrefix": Matcher(("prefix",), "Path", lambda view, _: view.path, _prefix),
    "PathRegexp": Matcher(("expression",), "Path", lambda view, _: view.path, _searching),
    "Method": Matcher(
        ("pattern",),
        "Method",
        lambda view, _: view.method,
        lambda text: compile_pattern(text, " "),
    ),
    "MethodRegexp": Matcher(("expression",), "Method", lambda view, _: view.method, _searching),
    "Header": Matcher(
        ("name", "pattern"),
        "Header",
        lambda view, name: view.header(name),
        lambda text: compile_pattern(text, "/"),
    ),
    "HeaderRegexp": Matcher(
        ("name", "expression"), "Header", lambda view, name: view.header(name), _searching
    ),
    "Query": Matcher(
        ("name", "pattern"),
        "Query",
        lambda view, name: view.parameter(name),
        lambda text: compile_pattern(text, "&", query_literal),
    ),
    "ClientIP": Matcher(("network",), "ClientIP", lambda view, _: view.peer, _network),
}


def _condition(call: Call) -> Condition:
    matcher = MATCHERS.get(call.name)
    if matcher is None:
        place = f"{call.name} at character {call.at}"
        raise ExpressionError(f"{place} is not a matcher: use {', '.join(MATCHERS)}")
    wanted = matcher.arguments
    given = [argument for argument in call.arguments if isinstance(argument, str)]
    if len(given) != len(wanted) or len(given) != len(call.arguments):
        kinds = "string" if len(wanted) == 1 else "strings"
        raise ExpressionError(
            f"{call.name} at character {call.at} takes {len(wanted)} {kinds} "
            f"({', '.join(wanted)}), not {len(call.arguments)}"
        )
    try:
        pattern = matcher.compile(given[-1])
    except ExpressionError as error:
        raise ExpressionError(f"{call.name} at character {call.at}: {error}") from None
    name = ""
    if len(wanted) == 2:
        name = given[0].lower() if matcher.looks_at == "Header" else given[0]
    normal = query_literal(name) if matcher.looks_at == "Query" else name.encode()
    return Condition(call.name, normal, pattern, text=_written(call))


def _written(call: Call) -> str:
    inner = ", ".join(f'"{argument}"' for argument in call.arguments)
    return f"{call.name}({inner})"
