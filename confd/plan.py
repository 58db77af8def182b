"""What to do next: which keys to follow, what a change touches, when to try again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confd.keys import Reads, Scope, Touched, minimal

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


def affected(reads: Mapping[str, tuple[Scope, Reads]], touched: Touched) -> frozenset[str]:
    """Return the names of the resources whose last rendering read what was touched."""
    return frozenset(
        name for name, (scope, read) in reads.items() if _reads_any(scope, read, touched)
    )


def _reads_any(scope: Scope, reads: Reads, touched: Touched) -> bool:
    written = {scope.name_of(key) for key in touched.written if scope.covers(key)}
    moved = {scope.name_of(key) for key in touched.moved if scope.covers(key)}
    return reads.touched_by(written, moved)


@dataclass(slots=True)
class Schedule:
    """When each resource is due. A failed one comes again after a delay that doubles."""

    _due_s: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)

    def want(self, names: Iterable[str], now_s: float) -> None:
        """Make resources due now."""
        self._due_s.update(dict.fromkeys(names, now_s))

    def drop(self, names: Iterable[str]) -> None:
        """Forget resources that are no more."""
        for name in names:
            self._due_s.pop(name, None)
            self._failures.pop(name, None)

    def take(self, now_s: float) -> tuple[str, ...]:
        """Return the due resources in order of name; they are no longer due."""
        due = tuple(sorted(name for name, at_s in self._due_s.items() if at_s <= now_s))
        for name in due:
            del self._due_s[name]
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
