"""What to do next: which keys to follow, what a change touches, when to try again."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from confd.core.config.resource import Pace
from confd.core.keyspace.key_set import Reads, Scope, Touched, minimal
from confd.core.keyspace.pathmatch import compiled

# Each root is a connection and a thread; more of them than this meet at a common parent.
ROOTS_MAX = 8
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0


def roots(scopes: Iterable[Scope]) -> tuple[str, ...]:
    """Return the fewest bases that cover all keys of all resources, at most ROOTS_MAX.

    Several roots rather than one common parent: resources of /app and /db have only / in
    common, and following / costs every event and every value of the whole store.
    """
    found = minimal(top for scope in scopes for top in scope.tops)
    depth = max((base.count("/") for base in found), default=0)
    while len(found) > ROOTS_MAX:
        depth -= 1
        found = minimal(_cut(base, depth) for base in found)
    return found


def _cut(base: str, depth: int) -> str:
    return "/".join(base.split("/")[: depth + 1])


class ReadIndex:
    """Who read what, by key: what a change touches is found without asking every resource.

    Invariant: a name stands in the index by exactly what was noted last for it.
    """

    def __init__(self) -> None:
        self._exact: dict[str, set[str]] = {}
        self._globs: dict[str, dict[tuple[str, str], Scope]] = {}
        self._listings: dict[str, dict[str, Scope]] = {}
        self._triggers: dict[str, set[str]] = {}
        self._places: dict[str, list[tuple[dict[str, Any], str, Any]]] = {}

    def note(self, name: str, scope: Scope, reads: Reads, trigger_keys: Iterable[str] = ()) -> None:
        """Take in what a resource read last. With trigger keys, only those bring it up."""
        self.drop(name)
        places = self._places[name] = []
        if triggers := tuple(trigger_keys):
            for trigger in triggers:
                key = scope.key_of(trigger)
                self._triggers.setdefault(key, set()).add(name)
                places.append((self._triggers, key, name))
            return
        for key in filter(scope.covers, map(scope.key_of, reads.exact)):
            self._exact.setdefault(key, set()).add(name)
            places.append((self._exact, key, name))
        for glob in reads.globs:
            above = _directory(scope.key_of(compiled(glob).literal))
            self._globs.setdefault(above, {})[name, glob] = scope
            places.append((self._globs, above, (name, glob)))
        for key in map(scope.key_of, reads.listings):
            self._listings.setdefault(key, {})[name] = scope
            places.append((self._listings, key, name))

    def drop(self, name: str) -> None:
        """Forget a resource."""
        for index, place, entry in self._places.pop(name, ()):
            found = index[place]
            if isinstance(found, set):
                found.discard(entry)
            else:
                found.pop(entry, None)
            if not found:
                del index[place]

    def affected(self, touched: Touched) -> frozenset[str]:
        """Return the names of those whose last rendering read what was touched."""
        found: set[str] = set()
        for key in touched.written:
            found |= self._exact.get(key, set())
            if self._globs:
                found |= self._by_glob(key)
            if self._triggers:
                for base in _bases(key):
                    found |= self._triggers.get(base, set())
        if self._listings:
            for key in touched.moved:
                for base in _bases(key):
                    readers = self._listings.get(base, {})
                    found |= {name for name, scope in readers.items() if scope.covers(key)}
        return frozenset(found)

    def _by_glob(self, key: str) -> set[str]:
        return {
            name
            for above in ("", *(f"{base}/" for base in _bases(key)))
            for (name, glob), scope in self._globs.get(above, {}).items()
            if scope.covers(key) and compiled(glob).matches(scope.name_of(key))
        }


def _directory(literal: str) -> str:
    return literal[: literal.rfind("/") + 1]


def _bases(key: str) -> Iterator[str]:
    """Yield the key and every base above it, the root last."""
    at = len(key)
    while at > 0:
        yield key[:at]
        at = key.rfind("/", 0, at)
    yield ""


def spread(host: str, unit: str) -> float:
    """Return this host's own part of a unit's splay, from 0 to 1, the same at every start."""
    digest = hashlib.sha256(f"{host}\0{unit}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


@dataclass(slots=True)
class Schedule:
    """When each resource is due. A failed one comes again after a delay that doubles."""

    _due_s: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _quiet_since_s: dict[str, float] = field(default_factory=dict)

    def want(self, names: Iterable[str], now_s: float) -> None:
        """Make resources due now."""
        for name in names:
            self._due_s[name] = now_s
            self._quiet_since_s.pop(name, None)

    def changed(self, name: str, pace: Pace, now_s: float, share: float = 0.0) -> None:
        """Make a resource due once its keys are quiet; `share` is this host's of the splay."""
        is_armed = name in self._quiet_since_s
        since_s = self._quiet_since_s.setdefault(name, now_s)
        due_s = min(now_s + pace.wait_min_s, since_s + pace.wait_max_s) + pace.splay_s * share
        # Only its own wait is put off; a pass or a retry that comes sooner stays.
        self._due_s[name] = due_s if is_armed else min(due_s, self._due_s.get(name, due_s))

    def later(self, name: str, at_s: float) -> None:
        """Make a resource due at a time, or before, as it may be already."""
        self._due_s[name] = min(at_s, self._due_s.get(name, at_s))

    def drop(self, names: Iterable[str]) -> None:
        """Forget resources that are no more."""
        for name in names:
            self._due_s.pop(name, None)
            self._failures.pop(name, None)
            self._quiet_since_s.pop(name, None)

    def take(self, now_s: float) -> tuple[str, ...]:
        """Return the due resources in order of name; they are no longer due."""
        due = tuple(sorted(name for name, at_s in self._due_s.items() if at_s <= now_s))
        for name in due:
            del self._due_s[name]
            self._quiet_since_s.pop(name, None)
        return due

    def succeeded(self, name: str) -> None:
        """Note a success: the next failure waits the first delay again."""
        self._failures.pop(name, None)

    def failed(self, name: str, now_s: float) -> float:
        """Note a failure; return the delay in seconds after which the resource is due."""
        failures = self._failures.get(name, 0)
        self._failures[name] = failures + 1
        # The exponent is bounded so that years of failures do not overflow a float.
        delay_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures, 16))
        self._due_s.setdefault(name, now_s + delay_s)
        return delay_s

    def wait_s(self, now_s: float) -> float | None:
        """Return the time until something is due; None when nothing is."""
        if not self._due_s:
            return None
        return max(0.0, min(self._due_s.values()) - now_s)
