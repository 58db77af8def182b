"""Changes of several keys at once: checked first, written by compare-and-swap, and recorded."""

import contextlib
import time
from typing import Any, NamedTuple

import msgspec

from coordinator.client import Absent, AtIndex, KeyExists, KeyNotFound, Store
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from vulcan.control.key_feed import WrittenKeys
from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import decode, unknown_fields
from vulcan.core.config.table import Table
from vulcan.core.control import revision
from vulcan.core.control.api_requests import ApiError, ApplyRequest, RollbackRequest
from vulcan.core.control.redaction import redacted_change
from vulcan.core.control.revision import Change, PlannedChange, Revision, RevisionConflict
from vulcan.core.keys import history_directory, history_key

CurrentKeys = dict[str, tuple[str, int]]


class Applied(NamedTuple):
    """The document to show, and the keys that were written."""

    document: dict[str, Any]
    written: WrittenKeys


def apply(store: Store, table: Table, request: ApplyRequest) -> Applied:
    """Check and plan a set of keys; unless it is a dry run, write and record it.

    Raises ApiError, RevisionConflict.
    """
    current = _current_keys(store, table.prefix)
    keys = dict(request.keys)
    if request.prune:
        keys = {**dict.fromkeys(current), **keys}
    return _carry_out(store, table, current, revision.plan(current, keys), request)


def rollback(store: Store, table: Table, request: RollbackRequest) -> Applied:
    """Undo every recorded change after a revision. Raises ApiError, RevisionConflict."""
    recorded = history(store, table.prefix)
    numbers = {each.number for each in recorded}
    earliest = min(numbers, default=1) - 1
    if request.to < earliest:
        raise ApiError(
            404, f"revisions before {earliest} are no longer stored: use {earliest} or a later one"
        )
    if request.to not in {earliest, *numbers}:
        raise ApiError(404, f"there is no revision {request.to}: `vctl history` lists them")
    undone = revision.undo(recorded, request.to)
    current = _current_keys(store, table.prefix)
    if not request.force:
        revision.check_undo(current, undone)
    changes = revision.plan(current, {key: then for key, (then, _) in undone.items()})
    message = f"rollback to {request.to}"
    applied = ApplyRequest({}, author=request.author, message=message, dry_run=request.dry_run)
    return _carry_out(store, table, current, changes, applied)


def history(store: Store, prefix: str) -> list[Revision]:
    """Return the recorded revisions, the newest last. ApiError names a key that holds none."""
    return [_revision(entry) for entry in store.list(history_directory(prefix)).entries]


def history_document(store: Store, prefix: str) -> dict[str, Any]:
    """Return the recorded revisions without the secrets of their values. Raises ApiError."""
    return {
        "Revisions": [
            msgspec.structs.replace(each, changes=tuple(map(redacted_change, each.changes)))
            for each in history(store, prefix)
        ]
    }


def _revision(entry: Entry) -> Revision:
    try:
        return msgspec.json.decode(entry.value, type=Revision)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ApiError(500, f"{entry.key} holds no revision: {error}: remove this key") from None


def _carry_out(
    store: Store,
    table: Table,
    current: CurrentKeys,
    planned: tuple[PlannedChange, ...],
    request: ApplyRequest,
) -> Applied:
    warnings = _check(table, current, planned)
    document = {
        "Changes": [redacted_change(each.change) for each in planned],
        "Warnings": warnings,
        "Revision": None,
    }
    written: WrittenKeys = {}
    if request.dry_run or not planned:
        return Applied(document, written)
    done: list[Change] = []
    try:
        for each in planned:
            key = f"{table.prefix}/{each.change.key}"
            written[key] = _write(store, key, each)
            done.append(each.change)
    finally:
        # Record what was written before a conflict, so that it can be rolled back.
        if done:
            document["Revision"] = _record(store, table.prefix, tuple(done), request)
    return Applied(document, written)


def _check(table: Table, current: CurrentKeys, planned: tuple[PlannedChange, ...]) -> list[str]:
    """Check the changes and return warnings about the table after them. Raises ApiError."""
    values = {key: value for key, (value, _) in current.items()}
    wrong: list[str] = []
    unknown: list[str] = []
    for each in planned:
        key, after = each.change.key, each.change.after
        values.pop(key, None)
        if after is not None:
            values[key] = after
            try:
                decode(key, after, table.seal_keys)
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
            decode(key, value, table.seal_keys)
        except ModelError as error:
            bad.append(f"{key}: {error}")
        else:
            entries.append(Entry(f"{table.prefix}/{key}", value, 0, 0))
    after = table.empty().advanced(Changes("", 0, tuple(entries), (), reset=True))
    pending = [f"frontends/{name}: {why}" for name, why in after.pending().items()]
    below = f"{table.prefix}/"
    notes = [f"{key.removeprefix(below)}: {t}" for key, ts in after.notes().items() for t in ts]
    return sorted([*bad, *pending, *notes])


def _write(store: Store, key: str, planned: PlannedChange) -> int | None:
    """Write a key and return its new index; None for a key that was removed."""
    change, modified = planned.change, planned.modified
    if change.after is not None:
        when = Absent() if modified is None else AtIndex(modified)
        return store.put(key, change.after, when=when).modified
    if modified is not None:
        try:
            store.delete(key, when=AtIndex(modified))
        except KeyNotFound:
            raise RevisionConflict(f"{change.key} was removed meanwhile") from None
    return None


def _record(store: Store, prefix: str, changes: tuple[Change, ...], request: ApplyRequest) -> int:
    while True:
        recorded = history(store, prefix)
        number = max((each.number for each in recorded), default=0) + 1
        now = round(time.time(), 3)
        made = Revision(number, now, request.author, request.message, changes)
        try:
            store.put(
                history_key(prefix, number), msgspec.json.encode(made).decode(), when=Absent()
            )
        except KeyExists:
            continue  # another node took this number: use the next one
        for old in revision.expired([*recorded, made]):
            with contextlib.suppress(KeyNotFound):  # another node may remove the same one
                store.delete(history_key(prefix, old))
        return number


def _current_keys(store: Store, prefix: str) -> CurrentKeys:
    below = f"{prefix}/"
    entries = store.list(prefix).entries
    return {e.key.removeprefix(below): (e.value, e.modified) for e in entries}
