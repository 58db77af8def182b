"""The router: it finds the frontend of a request among thousands.

Routes are grouped by their host pattern. In a group, exact paths are in a dictionary, and other
patterns are found by their literal prefix, so a lookup tries few routes. Of all routes that match,
the first in order wins: the larger Priority, then the more specific host, path and method, then the
smaller frontend id. A route with `||` has one rule for each alternative.

A router is immutable. `replaced` returns the next one and rebuilds only the groups that change.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from vulcan.core.routing.placeholders import Exact, Pattern, Placeholders, Prefix, Search
from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.route import Alternative, Route

_Order = tuple[object, ...]
# Groups are found by the host pattern as compiled; None is "any host".
_HostKey = bytes | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One alternative of a frontend's route, and its place in the order of all."""

    frontend: str
    number: int  # of the alternative
    alternative: Alternative
    order: _Order

    @property
    def id(self) -> tuple[str, int]:
        """Identifies a rule in a router."""
        return (self.frontend, self.number)


def rules_of(
    frontend: str, route: Route, priority: int, *, bytewise: bool = False, first: int = 0
) -> tuple[Rule, ...]:
    """Return the rules of a frontend's route.

    `bytewise` is vulcand's order, by the text of the expression. `first` is the number of the first
    rule, for a frontend with several routes.
    """
    text = (*(-byte for byte in route.text.encode()), 1) if bytewise else ()
    return tuple(
        Rule(
            frontend,
            number,
            alternative,
            (-priority, text if bytewise else alternative.rank, frontend, number),
        )
        for number, alternative in enumerate(route.alternatives, first)
    )


@dataclass(frozen=True, slots=True)
class _Paths:
    """The routes of one host pattern."""

    host: Pattern | None
    rules: Mapping[tuple[str, int], Rule]
    exact: Mapping[bytes, tuple[Rule, ...]]
    by_prefix: Mapping[bytes, tuple[Rule, ...]]
    prefix_lengths: tuple[int, ...]

    def candidates(self, path: bytes) -> Iterator[Rule]:
        yield from self.exact.get(path, ())
        for length in self.prefix_lengths:
            if length > len(path):
                break
            yield from self.by_prefix.get(path[:length], ())


@dataclass(frozen=True, slots=True)
class Router:
    """All rules, indexed by host and path."""

    groups: Mapping[_HostKey, _Paths] = field(default_factory=dict)
    exact_hosts: Mapping[bytes, _Paths] = field(default_factory=dict)
    by_suffix: Mapping[bytes, tuple[_Paths, ...]] = field(default_factory=dict)
    suffix_lengths: tuple[int, ...] = ()

    def find(self, view: RequestView) -> str | None:
        """Return the frontend of a request; None if no route matches."""
        best: Rule | None = None
        for paths in self._hosts(view.host):
            for rule in paths.candidates(view.path):
                if (best is None or rule.order < best.order) and rule.alternative.holds(view):
                    best = rule
        return best.frontend if best else None

    def candidates(self, view: RequestView) -> list[Rule]:
        """Return the rules that a lookup would try, in order."""
        found = [rule for paths in self._hosts(view.host) for rule in paths.candidates(view.path)]
        return sorted(found, key=lambda rule: rule.order)

    def replaced(self, removed: Iterable[Rule], added: Iterable[Rule]) -> "Router":
        """Return the router after removing some rules and adding others."""
        touched: dict[_HostKey, dict[tuple[str, int], Rule]] = {}
        patterns: dict[_HostKey, Pattern | None] = {}

        def group(rule: Rule) -> dict[tuple[str, int], Rule]:
            host = rule.alternative.host
            key = None if host is None else host.key
            if key not in touched:
                touched[key] = dict(self.groups[key].rules) if key in self.groups else {}
                patterns[key] = host
            return touched[key]

        for rule in removed:
            del group(rule)[rule.id]
        for rule in added:
            group(rule)[rule.id] = rule
        groups = dict(self.groups)
        for key, rules in touched.items():
            if rules:
                groups[key] = _paths(patterns[key], rules)
            else:
                groups.pop(key, None)
        return _router(groups)

    def shadowed(self) -> dict[str, str]:
        """Return the frontends that get no requests, each with the one that has the same route."""
        shadowed: dict[str, str] = {}
        for paths in self.groups.values():
            for rules in (*paths.exact.values(), *paths.by_prefix.values()):
                shadowed.update(_shadowed(rules))
        return shadowed

    def _hosts(self, host: bytes) -> Iterator[_Paths]:
        if exact := self.exact_hosts.get(host):
            yield exact
        for length in self.suffix_lengths:
            if length > len(host):
                break
            yield from self.by_suffix.get(host[len(host) - length :], ())
        if any_host := self.groups.get(None):
            yield any_host


def _paths(host: Pattern | None, rules: Mapping[tuple[str, int], Rule]) -> _Paths:
    exact: dict[bytes, list[Rule]] = {}
    by_prefix: dict[bytes, list[Rule]] = {}
    for rule in sorted(rules.values(), key=lambda rule: rule.order):
        match rule.alternative.path:
            case Exact(text):
                exact.setdefault(text, []).append(rule)
            case Placeholders() as pattern:
                by_prefix.setdefault(pattern.prefix, []).append(rule)
            case Prefix(text):
                by_prefix.setdefault(text, []).append(rule)
            case Search(regexp):
                by_prefix.setdefault(regexp.prefix, []).append(rule)
            case None:
                by_prefix.setdefault(b"", []).append(rule)
    return _Paths(
        host=host,
        rules=rules,
        exact={text: tuple(found) for text, found in exact.items()},
        by_prefix={prefix: tuple(found) for prefix, found in by_prefix.items()},
        prefix_lengths=tuple(sorted({len(prefix) for prefix in by_prefix})),
    )


def _router(groups: Mapping[_HostKey, _Paths]) -> Router:
    exact: dict[bytes, _Paths] = {}
    by_suffix: dict[bytes, tuple[_Paths, ...]] = {}
    for paths in groups.values():
        match paths.host:
            case Exact(text):
                exact[text] = paths
            case Placeholders() as pattern:
                by_suffix[pattern.suffix] = (*by_suffix.get(pattern.suffix, ()), paths)
            case Search() | Prefix():
                by_suffix[b""] = (*by_suffix.get(b"", ()), paths)
            case None:
                pass
    return Router(groups, exact, by_suffix, tuple(sorted({len(suffix) for suffix in by_suffix})))


def _shadowed(rules: tuple[Rule, ...]) -> Iterator[tuple[str, str]]:
    """Return the rules that an equal one, earlier in the order, shadows."""
    seen: dict[tuple[object, ...], str] = {}
    for rule in rules:
        winner = seen.setdefault(rule.alternative.key, rule.frontend)
        if winner != rule.frontend:
            yield rule.frontend, winner
