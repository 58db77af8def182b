"""Changes of several keys at once: planning them, recording them, and undoing them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

# Keys are written in this order, so that everything a route needs exists before the route.
_ORDER = {"hosts": 0, "backends": 1, "frontends": 3, "listeners": 4}
REVISIONS_MAX = 100


class Change(msgspec.Struct, frozen=True, rename="pascal"):
    """One key, relative to the prefix, with its value before and after. None means no key."""

    key: str
    before: str | None = None
    after: str | None = None


class Revision(msgspec.Struct, frozen=True, rename="pascal"):
    """A recorded set of changes."""

    number: int
    time: float
    author: str
    message: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change to make, if the key's index is still `modified`."""

    change: Change
    modified: int | None


class RevisionConflict(ValueError):  # noqa: N818 - the name says what it is
    """Keys have other values than a change expects; the message names them."""


def plan(
    current: Mapping[str, tuple[str, int]], wanted: Mapping[str, str | None]
) -> tuple[PlannedChange, ...]:
    """Return the changes from the current to the wanted values; unchanged keys have none."""
    changes = []
    for key, after in wanted.items():
        before, modified = current.get(key, (None, None))
        if not _same(before, after):
            changes.append(PlannedChange(Change(key, before, after), modified))
    return tuple(sorted(changes, key=lambda each: _position(each.change)))


def undo(revisions: Iterable[Revision], to: int) -> dict[str, tuple[str | None, str | None]]:
    """Return, for each key changed after revision `to`, its value then and the newest recorded."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for revision in sorted(revisions, key=lambda each: -each.number):
        if revision.number <= to:
            break
        for change in revision.changes:
            newest = found[change.key][1] if change.key in found else change.after
            found[change.key] = (change.before, newest)
    return found


def check_undo(
    current: Mapping[str, tuple[str, int]], undone: Mapping[str, tuple[str | None, str | None]]
) -> None:
    """Raise RevisionConflict if keys were changed since the last revision without a record."""
    changed = [
        key
        for key, (_, newest) in undone.items()
        if not _same(current.get(key, (None, 0))[0], newest)
    ]
    if changed:
        raise RevisionConflict(
            f"changed since then without a recorded revision: {', '.join(sorted(changed))}"
        )


def expired(revisions: Sequence[Revision]) -> list[int]:
    """Return the numbers of the revisions that exceed the maximum, the oldest first."""
    return sorted(each.number for each in revisions)[:-REVISIONS_MAX]


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or _read(one) == _read(other)


def _read(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _position(change: Change) -> tuple[int, int, str]:
    parts = change.key.split("/")
    order = _ORDER.get(parts[0], 9)
    if parts[0] == "frontends" and parts[-1] != "frontend":
        order -= 1
    # Removals come last and in the reverse order.
    return (1, -order, change.key) if change.after is None else (0, order, change.key)
