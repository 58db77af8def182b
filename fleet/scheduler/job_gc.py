"""Garbage collection of a destroyed job: its keys, and the units that no other job refers to.

Others write at the same time. `fleetctl` writes a job's record, and then its unit once more. So if
a unit is read before the jobs are listed, and has not changed when it is deleted, no job refers to
it. The record is deleted last: if the scheduler is killed in between, its successor deletes the
rest.
"""

import contextlib
from collections.abc import Iterable

from coordinator.client.core.errors import CompareFailed, KeyNotFound
from coordinator.client.core.store_protocol import AtIndex, Entry, Store
from daemonkit.observe import logs
from fleet.core import keys
from fleet.core.fields import is_digest
from fleet.core.model import InvalidRecord, UnitReferences, decode

_log = logs.get("scheduler")


def delete_job(store: Store, name: str, modified: int) -> None:
    """Delete a job whose record was last written at this index, unless it has changed since."""
    named = _units_of(store.list(keys.whole_job(name)).entries)
    unit_entries = [entry for unit in named for entry in _entries_of(store, unit)]
    everything = store.list(f"{keys.PREFIX}/jobs").entries
    own = [each for each in everything if _is_of(each, name)]
    used = _units_of(each for each in everything if not _is_of(each, name))
    spec = keys.job(name)
    if not any(each.key == spec and each.modified == modified for each in own):
        _log.info("overtaken", job=name, error="the job was started again")
        return
    unused = [
        each
        for each in unit_entries
        if each.key.removeprefix(keys.PREFIX).split("/")[2] not in used
    ]
    for each in sorted([*unused, *own], key=lambda entry: entry.key == spec):
        try:
            store.delete(each.key, when=AtIndex(each.modified))
        except (CompareFailed, KeyNotFound) as error:
            _log.info("overtaken", key=each.key, error=str(error))


def _is_of(entry: Entry, name: str) -> bool:
    return entry.key.startswith(f"{keys.whole_job(name)}/")


def _units_of(entries: Iterable[Entry]) -> set[str]:
    """Return the units that records, versions and rollouts refer to."""
    found = set()
    for entry in entries:
        with contextlib.suppress(InvalidRecord):
            named = decode(entry.value, UnitReferences)
            found |= {unit for unit in (named.unit, named.stable_unit) if is_digest(unit)}
    return found


def _entries_of(store: Store, unit: str) -> list[Entry]:
    """Return the present entries of a unit's text and of its signatures."""
    found = list(store.list(keys.signature(unit)).entries)
    with contextlib.suppress(KeyNotFound):
        found.append(store.get(keys.unit(unit)))
    return found
