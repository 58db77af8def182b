"""Turns the v3 API's pairs and events into the store's own values.

A foreign client may have written keys that are not paths (`/a//b`, `/a/`) and values that are not
text. They are not part of the tree: they are not listed, and a write to such a key creates it.
"""

import re
from collections.abc import Iterable, Mapping

from coordinator.client.core import key_paths, v3_lease_ids
from coordinator.client.core.store_protocol import Entry, Event, Progress
from coordinator.client.core.v3_responses import KeyValue, WatchEvent, WatchResponse

_NOT_A_PATH = re.compile(r"//|/\.{1,2}(/|$)|/$")


def entry(pair: KeyValue, expiries: Mapping[int, float]) -> Entry | None:
    """Return the pair as an Entry, None if it is not part of the tree."""
    try:
        key, value = pair.key.decode(), pair.value.decode()
    except UnicodeDecodeError:
        return None
    if _NOT_A_PATH.search(key):
        return None
    return Entry(key, value, pair.create_revision, pair.mod_revision, expiries.get(pair.lease))


def leases(pairs: Iterable[KeyValue]) -> set[int]:
    """Return the leases of these pairs."""
    return {pair.lease for pair in pairs if pair.lease}


def changes(
    message: WatchResponse, prefix: str, expiries: Mapping[int, float]
) -> list[Event | Progress]:
    """Return what one message means to a watch of `prefix`, up to the end of its revision."""
    found: list[Event] = []
    for each in message.events:
        event = _event(each, expiries)
        if event is not None and key_paths.holds(prefix, event.key):
            if found and found[-1].index == event.index:
                found[-1] = _with_more(found[-1])
            found.append(event)
    last = message.events[-1].kv.mod_revision if message.events else message.header.revision
    if message.fragment:
        if found:
            found[-1] = _with_more(found[-1])
        return [*found]
    if found and found[-1].index == last:
        return [*found]
    return [*found, Progress(last)]


def _event(event: WatchEvent, expiries: Mapping[int, float]) -> Event | None:
    pair = event.kv
    if event.type == "PUT":
        if _is_refresh(pair.lease, expiries):
            return None
        if (written := entry(pair, expiries)) is not None:
            return Event(pair.mod_revision, written.key, written)
    # A key whose new value is not text has left the tree.
    return Event(pair.mod_revision, pair.key.decode(errors="replace"), None)


def _with_more(event: Event) -> Event:
    return Event(event.index, event.key, event.entry, more=True)


def _is_refresh(lease: int, expiries: Mapping[int, float]) -> bool:
    is_ours = expiries.get(lease) == v3_lease_ids.expires_at(lease)
    return is_ours and v3_lease_ids.is_refresh(lease)
