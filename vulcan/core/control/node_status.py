"""How far every node is: what each tells in a key of its own, and who lags.

The keys are beside the watched tree, in `PREFIX-status`, each with a TTL. A node writes its key
when what it says has changed, though not more often than each `TOLD_S`, and else only renews it,
which wakes no watcher: a hundred nodes cost the store twenty small writes a second at most.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from coordinator.client.core.store_protocol import Entry

TOLD_S = 5.0
RENEWED_S = 20.0
TTL_S = 60


class Report(msgspec.Struct, frozen=True, rename="pascal"):
    """What one node tells.

    `index` is how far it is, `changed` the index of the newest change it has applied: a node
    that has just read everything is further than the last change.
    """

    node: str
    index: int
    changed: int
    refused: int = 0
    workers: int = 0
    store: str = ""  # why it has lost the store; empty while it follows
    version: str = ""


def status_key(prefix: str, node: str) -> str:
    """Return where a node tells."""
    return f"{prefix}-status/{node}"


def told(entries: Iterable[Entry], now: float) -> list[tuple[Report, float]]:
    """Return what nodes told and how many seconds ago; what cannot be read is left out."""
    found = []
    for entry in entries:
        try:
            report = msgspec.json.decode(entry.value, type=Report)
        except msgspec.MsgspecError:
            continue
        left_s = TTL_S if entry.expires_at is None else entry.expires_at - now
        found.append((report, max(0.0, TTL_S - left_s)))
    return found


def standing(
    reports: Sequence[tuple[Report, float]], newest_modified: int
) -> list[Mapping[str, object]]:
    """Return every node with its lag: how far it is behind the newest change, in indexes."""
    newest = max((report.changed for report, _ in reports), default=0)
    newest = max(newest, newest_modified)
    return [
        {
            "Node": report.node,
            "Index": report.index,
            "Lag": max(0, newest - report.index),
            "AgeS": round(age_s, 1),
            "Store": report.store or "followed",
            "Refused": report.refused,
            "Workers": report.workers,
            "Version": report.version,
        }
        for report, age_s in sorted(reports, key=lambda each: each[0].node)
    ]
