"""The end of a job: its keys go, and with them the units that no other job names.

Others write at the same time. Whoever wants a job writes its record and then its unit once more;
so a unit that is read before the jobs are listed, and has not changed when it goes, has no user.
The record goes last: a scheduler that is killed in between leaves the rest to its successor.
"""

import contextlib
from collections.abc import Iterable

from coordinator.client.core.errors import CompareFailed, KeyNotFound
from coordinator.client.core.store_protocol import AtIndex, Entry, Store
from daemonkit.observe import logs
from fleet.core import keys
from fleet.core.model import InvalidRecord, UnitReferences, decode

_log = logs.get("scheduler")


def forget(store: Store, name: str, modified: int) -> None:
    """Remove a job whose record was last written at this index, unless it is wanted again."""
    named = _units(store.list(keys.whole_job(name)).entries)
    texts = [entry for unit in named for entry in _texts(store, unit)]
    everything = store.list(f"{keys.PREFIX}/jobs").entries
    mine = [each for each in everything if _is_of(each, name)]
    used = _units(each for each in everything if not _is_of(each, name))
    spec = keys.job(name)
    if not any(each.key == spec and each.modified == modified for each in mine):
        _log.info("overtaken", job=name, error="it is wanted again")
        return
    spare = [each for each in texts if each.key.removeprefix(keys.PREFIX).split("/")[2] not in used]
    for each in sorted([*spare, *mine], key=lambda entry: entry.key == spec):
        try:
            store.delete(each.key, when=AtIndex(each.modified))
        except (CompareFailed, KeyNotFound) as error:
            _log.info("overtaken", key=each.key, error=str(error))


def _is_of(entry: Entry, name: str) -> bool:
    return entry.key.startswith(f"{keys.whole_job(name)}/")


def _units(entries: Iterable[Entry]) -> set[str]:
    """Return the units that records, versions and rollouts name."""
    found = set()
    for entry in entries:
        with contextlib.suppress(InvalidRecord):
            named = decode(entry.value, UnitReferences)
            found |= {named.unit, named.stable_unit} - {""}
    return found


def _texts(store: Store, unit: str) -> list[Entry]:
    """Return a unit's text and its signatures, as they stand now."""
    found = list(store.list(keys.signature(unit)).entries)
    with contextlib.suppress(KeyNotFound):
        found.append(store.get(keys.unit(unit)))
    return found
