"""Garbage collection of jobs: destroyed jobs, old versions, and units that no job refers to.

Others write at the same time. `fleetctl` writes a job's record, and then its unit once more. So if
a unit is read before the jobs are listed, and has not changed when it is deleted, no job refers to
it. The record is deleted last: if the scheduler is killed in between, its successor deletes the
rest.
"""

import contextlib
from collections.abc import Callable, Iterable

from coordinator.client.core.errors import CompareFailed, KeyNotFound
from coordinator.client.core.store_protocol import AtIndex, Entry, Store
from daemonkit.observe import logs
from fleet.core import keys
from fleet.core.fields import is_digest, parse_number
from fleet.core.model import InvalidRecord, UnitReferences, decode

# When a job has more versions than this, all but the newest are deleted.
VERSIONS_MAX = 50
VERSIONS_KEPT = 25
_log = logs.get("scheduler")


def delete_job(store: Store, name: str, modified: int) -> None:
    """Delete a job whose record was last written at this index, unless it has changed since."""
    spec = keys.job(name)

    def choose(own: list[Entry]) -> list[Entry]:
        if any(each.key == spec and each.modified == modified for each in own):
            return own
        _log.info("overtaken", job=name, error="the job was started again")
        return []

    _delete(store, name, choose)
    for directory in (keys.versions(name), keys.whole_job(name)):
        store.remove_empty(directory)


def prune_versions(store: Store, name: str) -> None:
    """Delete all but the newest versions of a job, once there are too many.

    The stable version keeps its unit: the rollout refers to it, too.
    """
    if len(store.list(keys.versions(name)).entries) <= VERSIONS_MAX:
        return
    _log.info("prune", job=name)
    _delete(store, name, lambda own: _old_versions(own, keys.versions(name)))


def _old_versions(own: Iterable[Entry], directory: str) -> list[Entry]:
    versions = [each for each in own if each.key.startswith(f"{directory}/")]
    return sorted(versions, key=_number)[:-VERSIONS_KEPT]


def _number(version: Entry) -> int:
    """Return a version's number, or one below all numbers for a key without one."""
    number = version.key.rpartition("/")[2]
    known = parse_number(number)
    return -1 if known is None else known


def _delete(store: Store, name: str, choose: Callable[[list[Entry]], list[Entry]]) -> None:
    """Delete the chosen keys of a job, and the units that then no job refers to."""
    named = _units_of(store.list(keys.whole_job(name)).entries)
    unit_entries = [entry for unit in named for entry in _entries_of(store, unit)]
    everything = store.list(f"{keys.PREFIX}/jobs").entries
    chosen = choose([each for each in everything if _is_of(each, name)])
    if not chosen:
        return
    gone = {each.key for each in chosen}
    used = _units_of(each for each in everything if each.key not in gone)
    unused = [
        each
        for each in unit_entries
        if each.key.removeprefix(keys.PREFIX).split("/")[2] not in used
    ]
    spec = keys.job(name)
    for each in sorted([*unused, *chosen], key=lambda entry: entry.key == spec):
        try:
            store.delete(each.key, when=AtIndex(each.modified))
        except (CompareFailed, KeyNotFound) as error:
            _log.info("overtaken", key=each.key, error=str(error))
    for unit in named - used:
        store.remove_empty(keys.signature(unit))


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
