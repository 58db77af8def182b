"""Keys of vulcan, and changes of keys, for tests."""

import json

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes

PREFIX = "/vulcand"


def entry(path: str, value: object, modified: int = 1) -> Entry:
    text = value if isinstance(value, str) else json.dumps(value)
    return Entry(f"{PREFIX}/{path}", text, modified, modified)


def frontend(name: str, route: str, backend: str = "b", **settings: object) -> Entry:
    document = {"Type": "http", "BackendId": backend, "Route": route, "Settings": settings}
    return entry(f"frontends/{name}/frontend", document)


def server(name: str, url: str, backend: str = "b") -> Entry:
    return entry(f"backends/{backend}/servers/{name}", {"URL": url})


def backend(name: str = "b", **settings: object) -> Entry:
    return entry(f"backends/{name}/backend", {"Type": "http", "Settings": settings})


def changes(
    *entries: Entry, removed: tuple[str, ...] = (), index: int = 2, reset: bool = False
) -> Changes:
    return Changes("c1", index, entries, tuple(f"{PREFIX}/{path}" for path in removed), reset)
