"""Changes of several keys at once: what a change does, its record, and how to undo it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

# The order in which keys are written, so that a route is there when all that it needs is.
_ORDER = {"hosts": 0, "backends": 1, "frontends": 3, "listeners": 4}
KEPT = 100


class Change(msgspec.Struct, frozen=True, rename="pascal"):
    """One key, relative to the prefix: its value before and after; None: no key."""

    key: str
    before: str | None = None
    after: str | None = None


class Revision(msgspec.Struct, frozen=True, rename="pascal"):
    """A recorded change."""

    number: int
    time: float
    author: str
    message: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change that is about to be made; `modified` is the index that it rests on."""

    change: Change
    modified: int | None


class RevisionConflict(ValueError):  # noqa: N818 - states what is so
    """Keys are not as a change supposes; the message names them."""


def plan(
    current: Mapping[str, tuple[str, int]], wanted: Mapping[str, str | None]
) -> tuple[PlannedChange, ...]:
    """Return the steps from what is to what is wanted; keys that stay as they are have none."""
    steps = []
    for key, after in wanted.items():
        before, modified = current.get(key, (None, None))
        if not _same(before, after):
            steps.append(PlannedChange(Change(key, before, after), modified))
    return tuple(sorted(steps, key=lambda step: _place(step.change)))


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
    """Raise RevisionConflict when keys were changed since by somebody who left no record."""
    changed = [
        key
        for key, (_, newest) in undone.items()
        if not _same(current.get(key, (None, 0))[0], newest)
    ]
    if changed:
        raise RevisionConflict(f"changed since without a record: {', '.join(sorted(changed))}")


def surplus(revisions: Sequence[Revision]) -> list[int]:
    """Return the numbers of the revisions to forget."""
    return sorted(each.number for each in revisions)[:-KEPT]


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or _read(one) == _read(other)


def _read(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _place(change: Change) -> tuple[int, int, str]:
    top, *_, last = change.key.split("/")
    order = _ORDER.get(top, 9) - (1 if top == "frontends" and last != "frontend" else 0)
    # What goes, goes the other way round and last.
    return (1, -order, change.key) if change.after is None else (0, order, change.key)
