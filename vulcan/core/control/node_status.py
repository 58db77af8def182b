"""The status of every node, and how far each lags behind the newest change.

Each node writes its status to a key of its own with a TTL, outside the tree that nodes watch. It
writes the key when its status has changed, at most once in `HEARTBEAT_S`; otherwise it only renews
the TTL, which wakes no watcher. A hundred nodes cost the store at most twenty small writes each
second.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from coordinator.client.core.store_protocol import Entry

HEARTBEAT_S = 5.0
RENEW_S = 20.0
TTL_S = 60


class NodeStatus(msgspec.Struct, frozen=True, rename="pascal"):
    """What one node reports.

    `Index` is the store's index that the node has reached. `Changed` is the index of the newest
    change that it has applied. A node that has just read everything is past the last change.
    """

    node: str
    index: int
    changed: int
    refused: int = 0
    workers: int = 0
    store: str = ""  # why the node cannot reach the store; empty while it follows
    version: str = ""


def decode_statuses(entries: Iterable[Entry], now: float) -> list[tuple[NodeStatus, float]]:
    """Return each node's status and its age in seconds; unreadable values are skipped."""
    found = []
    for entry in entries:
        try:
            status = msgspec.json.decode(entry.value, type=NodeStatus)
        except (msgspec.MsgspecError, RecursionError):
            continue
        left_s = TTL_S if entry.expires_at is None else entry.expires_at - now
        found.append((status, max(0.0, TTL_S - left_s)))
    return found


def cluster_status(
    statuses: Sequence[tuple[NodeStatus, float]], newest_modified: int
) -> list[Mapping[str, object]]:
    """Return every node with its lag: how many indexes it is behind the newest change."""
    newest = max((status.changed for status, _ in statuses), default=0)
    newest = max(newest, newest_modified)
    return [
        {
            "Node": status.node,
            "Index": status.index,
            "Lag": max(0, newest - status.index),
            "AgeS": round(age_s, 1),
            "Store": status.store or "followed",
            "Refused": status.refused,
            "Workers": status.workers,
            "Version": status.version,
        }
        for status, age_s in sorted(statuses, key=lambda each: each[0].node)
    ]
