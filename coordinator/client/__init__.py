"""The one door through which daemons reach keys.

Names are imported when they are first used: a program that only shows its `--help`, or only needs
the errors, does not pay for HTTP and TLS.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.client.core.endpoint import ServerKind
    from coordinator.client.core.errors import (
        BadRequest,
        CompareFailed,
        HistoryCleared,
        KeyExists,
        KeyNotFound,
        NotADirectory,
        NotAFile,
        StoreError,
        Unauthorized,
        Unavailable,
    )
    from coordinator.client.core.store_protocol import (
        Absent,
        AtIndex,
        DeleteCondition,
        Entry,
        Event,
        Listing,
        Present,
        Progress,
        PutCondition,
        Store,
        Watch,
        WithValue,
    )
    from coordinator.client.core.view import Changes, View
    from coordinator.client.detected_store import DetectedStore, connect
    from coordinator.client.http.start_patience import DAEMON_PATIENCE_S
    from coordinator.client.http.tls_files import Tls
    from coordinator.client.http.v2_store import HttpStore
    from coordinator.client.memory_store import MemoryStore
    from coordinator.client.mirror import Mirror, MirrorStatus
    from coordinator.client.v3.v3_store import EtcdStore

__all__ = [
    "DAEMON_PATIENCE_S",
    "Absent",
    "AtIndex",
    "BadRequest",
    "Changes",
    "CompareFailed",
    "DeleteCondition",
    "DetectedStore",
    "Entry",
    "EtcdStore",
    "Event",
    "HistoryCleared",
    "HttpStore",
    "KeyExists",
    "KeyNotFound",
    "Listing",
    "MemoryStore",
    "Mirror",
    "MirrorStatus",
    "NotADirectory",
    "NotAFile",
    "Present",
    "Progress",
    "PutCondition",
    "ServerKind",
    "Store",
    "StoreError",
    "Tls",
    "Unauthorized",
    "Unavailable",
    "View",
    "Watch",
    "WithValue",
    "connect",
]

_ELSEWHERE = {
    "DAEMON_PATIENCE_S": "http.start_patience",
    "Changes": "core.view",
    "DetectedStore": "detected_store",
    "EtcdStore": "v3.v3_store",
    "HttpStore": "http.v2_store",
    "MemoryStore": "memory_store",
    "Mirror": "mirror",
    "MirrorStatus": "mirror",
    "ServerKind": "core.endpoint",
    "Tls": "http.tls_files",
    "View": "core.view",
    "connect": "detected_store",
}
_ERRORS = frozenset(
    {
        "BadRequest",
        "CompareFailed",
        "HistoryCleared",
        "KeyExists",
        "KeyNotFound",
        "NotADirectory",
        "NotAFile",
        "StoreError",
        "Unauthorized",
        "Unavailable",
    }
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "core.errors" if name in _ERRORS else _ELSEWHERE.get(name, "core.store_protocol")
    found: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found
