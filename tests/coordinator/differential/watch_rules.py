"""Which events a watch should return, by brute force, and which ones etcd 3.4 returns instead.

Where the two differ stands here, and only here:

 1. etcd answers a watch from its history with one event, a stream too, and then stays silent.
 2. etcd tells the removal of a key twice to a stream on that very key.
 3. In its history etcd takes a removed directory for a prefix of letters: `/p` concerns `/px`.
 4. In its history etcd shows hidden keys to the recursive watches above them.
 5. In its history etcd shows the removal of a directory to watches on keys that were not there.
"""

from collections.abc import Iterable, Iterator

from coordinator.core.store.event import KeyEvent
from coordinator.core.v2api.keys_api import WatchRequest


def ours(request: WatchRequest, began: int, events: Iterable[KeyEvent]) -> list[KeyEvent]:
    """Return what a watch that began at an index brings: each event that concerns it, once."""
    first = request.wait_index or began + 1
    found = [event for event in events if event.index >= first and _concerns(request, event)]
    return found if request.stream else found[:1]


def etcds(request: WatchRequest, began: int, events: list[KeyEvent]) -> list[KeyEvent]:
    """Return what etcd brings."""
    first = request.wait_index or began + 1
    if first <= began:
        for event in events:
            if first <= event.index <= began and _in_history(request, event):
                return [event]
    live = [event for event in events if event.index >= first and event.index > began]
    found = [event for event in live for _ in _notices(request, event)]
    return found if request.stream else found[:1]


def _concerns(request: WatchRequest, event: KeyEvent) -> bool:
    if event.refresh:
        return False
    key, changed = _segments(request.watch_filter.key), _segments(event.key)
    if key == changed:
        return True
    if changed[: len(key)] == key:
        below = changed[len(key) :]
        return request.watch_filter.recursive and not any(name.startswith(b"_") for name in below)
    return request.watch_filter.key in (event.removed or ())


def _segments(key: bytes) -> list[bytes]:
    return [name for name in key.split(b"/") if name]


def _is_hidden_from(key: bytes, changed: bytes) -> bool:
    return b"/_" in changed[len(key) if key != b"/" else 0 :]


def _in_history(request: WatchRequest, event: KeyEvent) -> bool:
    key = request.watch_filter.key
    if event.refresh:
        return False
    if event.key == key:
        return True
    if request.watch_filter.recursive and event.key.startswith(key.rstrip(b"/") + b"/"):
        return True
    return event.removed is not None and key.startswith(event.key)


def _notices(request: WatchRequest, event: KeyEvent) -> Iterator[None]:
    if event.refresh:
        return
    key = request.watch_filter.key
    if event.node is None and (key == event.key or key in (event.removed or ())):
        yield
    above = event.key.startswith(key.rstrip(b"/") + b"/")
    shown = request.watch_filter.recursive and above and not _is_hidden_from(key, event.key)
    if event.key == key or shown:
        yield
