"""The one door through which daemons reach keys."""

from coordinator.client.detected import DetectedStore, connect
from coordinator.client.endpoint import Kind, Tls
from coordinator.client.errors import (
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
from coordinator.client.http import HttpStore
from coordinator.client.mirror import Mirror, MirrorStatus
from coordinator.client.store import (
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
from coordinator.client.v3.store import EtcdStore
from coordinator.client.view import Changes, View

__all__ = [
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
    "Kind",
    "Listing",
    "Mirror",
    "MirrorStatus",
    "NotADirectory",
    "NotAFile",
    "Present",
    "Progress",
    "PutCondition",
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
