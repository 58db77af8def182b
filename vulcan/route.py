"""Routes: an expression compiled to conditions on a request.

A matcher is one row of `MATCHERS`: what it looks at, and where its placeholders stop.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vulcan.expression import Call, RouteError, parse
from vulcan.pattern import Pattern, compile_pattern, rank_of

__all__ = ["Facts", "Route", "RouteError", "compile_route"]


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What routes look at. `host` is lower-case without port; `path` is raw, without query."""

    host: bytes
    path: bytes
    method: bytes = b"GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def header(self, lower_name: bytes) -> bytes:
        """Return the first value of a header, empty without one."""
        for name, value in self.headers:
            if name.lower() == lower_name:
                return value
        return b""


@dataclass(frozen=True, slots=True)
class Condition:
    """One matcher with its pattern; `name` says which header, and is empty elsewhere."""

    matcher: str
    name: bytes
    pattern: Pattern

    def holds(self, facts: Facts) -> bool:
        """Whether the request satisfies it."""
        return self.pattern.matches(MATCHERS[self.matcher].subject(facts, self.name))


@dataclass(frozen=True, slots=True)
class Route:
    """A conjunction: the first conditions on host and path, which an index finds, and the rest."""

    text: str
    host: Pattern | None
    path: Pattern | None
    rest: tuple[Condition, ...]

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the more specific of two routes first: by host, path, method, then the others."""
        methods = any(condition.matcher == "Method" for condition in self.rest)
        return (rank_of(self.host), rank_of(self.path), not methods, -len(self.rest))

    @property
    def key(self) -> tuple[bytes | None, bytes | None, frozenset[Condition]]:
        """Equal for routes that take the same requests as written."""
        return (
            None if self.host is None else self.host.key,
            None if self.path is None else self.path.key,
            frozenset(self.rest),
        )

    def holds(self, facts: Facts) -> bool:
        """Whether a request satisfies every condition."""
        return (
            (self.path is None or self.path.matches(facts.path))
            and (self.host is None or self.host.matches(facts.host))
            and all(condition.holds(facts) for condition in self.rest)
        )


def compile_route(text: str) -> Route:
    """Compile an expression. Raises RouteError, which names the place and the remedy."""
    conditions = [_condition(call) for call in parse(text)]
    host = next((c for c in conditions if c.matcher == "Host"), None)
    path = next((c for c in conditions if c.matcher == "Path"), None)
    return Route(
        text=text,
        host=host.pattern if host else None,
        path=path.pattern if path else None,
        rest=tuple(c for c in conditions if c is not host and c is not path),
    )


@dataclass(frozen=True, slots=True)
class Matcher:
    """A row of the table: the arguments, the subject, the separator of its placeholders."""

    arguments: tuple[str, ...]
    subject: Callable[[Facts, bytes], bytes]
    separator: str
    normal: Callable[[str], str] = str


def normal_host(host: str) -> str:
    """Return a host as routes compare it: lower case, no final dot, IPv6 without brackets."""
    return host.lower().removesuffix(".").removeprefix("[").removesuffix("]")


MATCHERS = {
    "Host": Matcher(("pattern",), lambda facts, _: facts.host, ".", normal_host),
    "Path": Matcher(("pattern",), lambda facts, _: facts.path, "/"),
    "Method": Matcher(("pattern",), lambda facts, _: facts.method, " "),
    "Header": Matcher(("name", "pattern"), lambda facts, name: facts.header(name), "/"),
}
UNSUPPORTED = {
    "HostRegexp": 'Host with placeholders, as in Host("<app>.example.com")',
    "PathRegexp": 'Path with placeholders, as in Path("/<path:rest>")',
    "MethodRegexp": "one frontend for each Method",
    "HeaderRegexp": 'Header with placeholders, as in Header("X", "v<version>")',
}


def _condition(call: Call) -> Condition:
    matcher = MATCHERS.get(call.name)
    if matcher is None:
        raise RouteError(_unknown(call))
    wanted = matcher.arguments
    if len(call.arguments) != len(wanted):
        raise RouteError(
            f"{call.name} at character {call.at} takes {len(wanted)} "
            f"({', '.join(wanted)}), not {len(call.arguments)}"
        )
    try:
        pattern = compile_pattern(matcher.normal(call.arguments[-1]), matcher.separator)
    except RouteError as error:
        raise RouteError(f"{call.name} at character {call.at}: {error}") from None
    name = call.arguments[0].lower().encode() if len(wanted) == 2 else b""
    return Condition(call.name, name, pattern)


def _unknown(call: Call) -> str:
    place = f"{call.name} at character {call.at}"
    if instead := UNSUPPORTED.get(call.name):
        return f"{place} is not supported: use {instead}"
    return f"{place} is not a matcher: use {', '.join(MATCHERS)}"
