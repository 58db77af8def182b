"""Which part of the store a resource may read, and the arithmetic of key paths.

A base path here is "" for the root or "/a/b", never with a trailing slash, so that `base + "/"`
begins every key below it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the store that a resource may read: everything below its `subtrees`.

    Templates see keys without the `prefix`.
    """

    prefix: str
    subtrees: tuple[str, ...]

    def covers(self, key: str) -> bool:
        """Return whether the resource may read `key`."""
        return any(inside(key, top) for top in self.subtrees)

    def name_of(self, key: str) -> str:
        """Return the name of a covered key in templates."""
        return key[len(self.prefix) :] or "/"

    def key_of(self, name: str) -> str:
        """Return the key that a name in a template means."""
        return self.prefix + name


def segments(path: str) -> list[str]:
    """Split a path as Go's path.Clean does: no empty segments, `.` and `..` resolved."""
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del found[-1:]
        elif part not in {"", "."}:
            found.append(part)
    return found


def inside(key: str, base: str) -> bool:
    """Return whether `key` is `base` or below it, comparing whole segments."""
    return key == base or key.startswith(base + "/")


def minimal(bases: Iterable[str]) -> tuple[str, ...]:
    """Return the bases that cover all others, in order."""
    kept: list[str] = []
    for base in sorted(set(bases)):
        if not any(inside(base, above) for above in kept):
            kept.append(base)
    return tuple(kept)
