"""From the v3 API's pairs and events to the store's own values. Pure.

A foreign client may have keys that are no paths (`/a//b`, `/a/`) and values that are no text. They
are no part of the tree: they are not listed, and writing over one begins it as a file.
"""

import re
from collections.abc import Iterable, Mapping

from coordinator.client.core import key_paths, v3_lease_ids
from coordinator.client.core.store_protocol import Entry, Event, Progress
from coordinator.client.core.v3_responses import Change, Pair, Told

_NO_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$")


def entry(pair: Pair, ends: Mapping[int, float]) -> Entry | None:
    """Return the pair as a file; None if it cannot be one. `ends` is of foreign leases."""
    try:
        key, value = pair.key.decode(), pair.value.decode()
    except UnicodeDecodeError:
        return None
    if _NO_PATH.search(key):
        return None
    end_at = _end_at(pair.lease, ends) if pair.lease else None
    return Entry(key, value, pair.create_revision, pair.mod_revision, end_at)


def foreign(pairs: Iterable[Pair]) -> set[int]:
    """Return the leases whose numbers do not tell their ends."""
    return {pair.lease for pair in pairs if pair.lease and not v3_lease_ids.is_ours(pair.lease)}


def events(told: Told, prefix: str, ends: Mapping[int, float]) -> list[Event | Progress]:
    """Return what one message means to a watch of `prefix`, ending where its revision ends."""
    found: list[Event] = []
    for change in told.events:
        event = _event(change, ends)
        if event is not None and key_paths.holds(prefix, event.key):
            if found and found[-1].index == event.index:
                found[-1] = _with_more(found[-1])
            found.append(event)
    last = told.events[-1].kv.mod_revision if told.events else told.header.revision
    if told.fragment:
        if found:
            found[-1] = _with_more(found[-1])
        return [*found]
    if found and found[-1].index == last:
        return [*found]
    return [*found, Progress(last)]


def _event(change: Change, ends: Mapping[int, float]) -> Event | None:
    pair = change.kv
    if change.type == "PUT":
        if v3_lease_ids.is_refresh(pair.lease):
            return None
        if (written := entry(pair, ends)) is not None:
            return Event(pair.mod_revision, written.key, written)
    # A key whose new value is no text has left the tree.
    return Event(pair.mod_revision, pair.key.decode(errors="replace"), None)


def _with_more(event: Event) -> Event:
    return Event(event.index, event.key, event.entry, more=True)


def _end_at(lease: int, ends: Mapping[int, float]) -> float | None:
    return v3_lease_ids.end_at(lease) if v3_lease_ids.is_ours(lease) else ends.get(lease)
