"""Changing many keys at once: judged first, written by compare-and-swap, and recorded.

Records are beside the watched tree, in `PREFIX-history`.
"""

import contextlib
import time
from typing import Any

import msgspec

from coordinator.client import Absent, AtIndex, KeyExists, KeyNotFound, Store
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import decode, unknown_fields
from vulcan.core.config.table import Table
from vulcan.core.control import revision
from vulcan.core.control.api_requests import ApiError
from vulcan.core.control.revision import Change, PlannedChange, Revision, RevisionConflict

Current = dict[str, tuple[str, int]]


class ApplyRequest(msgspec.Struct, frozen=True, rename="pascal"):
    """Keys, relative to the prefix, with their values; None removes one."""

    keys: dict[str, str | None]
    author: str = ""
    message: str = ""
    dry_run: bool = False
    prune: bool = False  # remove what is not named


class RollbackRequest(msgspec.Struct, frozen=True, rename="pascal"):
    """Go back to how the keys were after a revision."""

    to: int
    author: str = ""
    force: bool = False
    dry_run: bool = False


def apply(store: Store, table: Table, body: bytes) -> dict[str, Any]:
    """Validate, plan, and unless it is a dry run write and record.

    Raises ApiError, RevisionConflict.
    """
    wanted = _read(body, ApplyRequest)
    current = _current(store, table.prefix)
    keys = dict(wanted.keys)
    if wanted.prune:
        keys = {**dict.fromkeys(current), **keys}
    return _carry_out(store, table, current, revision.plan(current, keys), wanted)


def rollback(store: Store, table: Table, body: bytes) -> dict[str, Any]:
    """Undo every recorded change after a revision. Raises ApiError, RevisionConflict."""
    asked = _read(body, RollbackRequest)
    recorded = history(store, table.prefix)
    numbers = {each.number for each in recorded}
    earliest = min(numbers, default=1) - 1
    if asked.to < earliest:
        raise ApiError(
            404, f"the records up to {earliest} are forgotten: go back to it, or to a later"
        )
    if asked.to not in {earliest, *numbers}:
        raise ApiError(404, f"there is no revision {asked.to}")
    undone = revision.undo(recorded, asked.to)
    current = _current(store, table.prefix)
    if not asked.force:
        revision.check_undo(current, undone)
    steps = revision.plan(current, {key: then for key, (then, _) in undone.items()})
    message = f"rollback to {asked.to}"
    wanted = ApplyRequest({}, author=asked.author, message=message, dry_run=asked.dry_run)
    return _carry_out(store, table, current, steps, wanted)


def history(store: Store, prefix: str) -> list[Revision]:
    """Return the recorded revisions, the newest last."""
    entries = store.list(f"{prefix}-history").entries
    return [msgspec.json.decode(entry.value, type=Revision) for entry in entries]


def _carry_out(
    store: Store,
    table: Table,
    current: Current,
    steps: tuple[PlannedChange, ...],
    wanted: ApplyRequest,
) -> dict[str, Any]:
    warnings = _judge(table, current, steps)
    answer = {"Changes": [step.change for step in steps], "Warnings": warnings, "Revision": None}
    if wanted.dry_run or not steps:
        return answer
    done: list[Change] = []
    try:
        for step in steps:
            _do(store, f"{table.prefix}/{step.change.key}", step)
            done.append(step.change)
    finally:
        # What was written before a conflict is recorded, too: it can be rolled back.
        if done:
            answer["Revision"] = _record(store, table.prefix, tuple(done), wanted)
    return answer


def _judge(table: Table, current: Current, steps: tuple[PlannedChange, ...]) -> list[str]:
    """Build the table as it would be, by the very code that will. Raises ApiError."""
    values = {key: value for key, (value, _) in current.items()}
    wrong: list[str] = []
    unknown: list[str] = []
    for step in steps:
        key, after = step.change.key, step.change.after
        values.pop(key, None)
        if after is not None:
            values[key] = after
            try:
                decode(key, after, table.seal)
                unknown += [f"{key}: {name} has no meaning" for name in unknown_fields(key, after)]
            except ModelError as error:
                wrong.append(f"{key}: {error}")
    if wrong:
        raise ApiError(400, "; ".join(wrong))
    return [*unknown, *_warnings(table, values)]


def _warnings(table: Table, values: dict[str, str]) -> list[str]:
    entries, bad = [], []
    for key, value in values.items():
        try:
            decode(key, value, table.seal)
        except ModelError as error:
            bad.append(f"{key}: {error}")
        else:
            entries.append(Entry(f"{table.prefix}/{key}", value, 0, 0))
    after = table.empty().advanced(Changes("", 0, tuple(entries), (), reset=True))
    pending = [f"frontends/{name}: {why}" for name, why in after.pending().items()]
    below = f"{table.prefix}/"
    notes = [f"{key.removeprefix(below)}: {t}" for key, ts in after.notes().items() for t in ts]
    return sorted([*bad, *pending, *notes])


def _do(store: Store, key: str, step: PlannedChange) -> None:
    change, modified = step.change, step.modified
    if change.after is not None:
        store.put(key, change.after, when=Absent() if modified is None else AtIndex(modified))
    elif modified is not None:
        try:
            store.delete(key, when=AtIndex(modified))
        except KeyNotFound:
            raise RevisionConflict(f"{change.key} went away meanwhile") from None


def _record(store: Store, prefix: str, changes: tuple[Change, ...], wanted: ApplyRequest) -> int:
    while True:
        recorded = history(store, prefix)
        number = max((each.number for each in recorded), default=0) + 1
        made = Revision(number, round(time.time(), 3), wanted.author, wanted.message, changes)
        try:
            value = msgspec.json.encode(made).decode()
            store.put(f"{prefix}-history/{number:012d}", value, when=Absent())
        except KeyExists:
            continue  # another one was quicker: take the next number
        for old in revision.surplus([*recorded, made]):
            with contextlib.suppress(KeyNotFound):  # two at once have the same surplus
                store.delete(f"{prefix}-history/{old:012d}")
        return number


def _current(store: Store, prefix: str) -> Current:
    below = f"{prefix}/"
    entries = store.list(prefix).entries
    return {e.key.removeprefix(below): (e.value, e.modified) for e in entries}


def _read(body: bytes, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ApiError(400, str(error)) from None
