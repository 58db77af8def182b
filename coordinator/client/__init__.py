"""The one door through which daemons reach keys."""

from coordinator.client.core.endpoint import Kind, Tls
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
from coordinator.client.http.v2_store import HttpStore
from coordinator.client.mirror import Mirror, MirrorStatus
from coordinator.client.v3.v3_store import EtcdStore

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
