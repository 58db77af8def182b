"""The timeline of a drill, and its table."""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec


class HostEvent(Enum):
    """An event of a host. Some values are the names of events of locksmith."""

    GRANTED = "granted"
    DRAINING = "draining"
    OUT_OF_DNS = "out of DNS"
    REBOOTING = "rebooting"
    NEW_BOOT = "new boot"
    IN_DNS = "in DNS"
    HEALTHY = "healthy"
    ABORTED = "aborted"
    FAILED = "failed"
    FAULT = "fault"


class TimelineEvent(msgspec.Struct, frozen=True):
    """An event of a host, at a time of the monotonic clock."""

    at_s: float
    host: str
    what: HostEvent
    detail: str = ""


COLUMNS = (
    ("slot", HostEvent.GRANTED),
    ("out of DNS", HostEvent.OUT_OF_DNS),
    ("drained", HostEvent.REBOOTING),
    ("new boot", HostEvent.NEW_BOOT),
    ("in DNS", HostEvent.IN_DNS),
    ("healthy", HostEvent.HEALTHY),
)
# These events have no column; each gets a line below the table.
WITHOUT_COLUMN = (HostEvent.ABORTED, HostEvent.FAILED, HostEvent.FAULT)


def table(events: Iterable[TimelineEvent], hosts: Sequence[str], began_s: float) -> str:
    """Return a row for each host, in the order of their reboots, in seconds since the start."""
    events = sorted(events, key=lambda each: each.at_s)
    rows = {host: [_at(events, host, what, began_s) for _, what in COLUMNS] for host in hosts}
    lines = ["host  " + "".join(f"{title:>12}" for title, _ in COLUMNS)]
    for host in sorted(hosts, key=lambda host: rows[host][0]):
        cells = [f"{at_s:11.1f}s" if at_s < _NEVER_S else f"{'-':>12}" for at_s in rows[host]]
        lines.append(f"{host:6}" + "".join(cells))
    lines += [
        f"{each.at_s - began_s:6.1f}s  {each.host} {each.what.value}: {each.detail}"
        for each in events
        if each.what in WITHOUT_COLUMN
    ]
    return "\n".join(lines)


_NEVER_S = float("inf")


def _at(events: Iterable[TimelineEvent], host: str, what: HostEvent, began_s: float) -> float:
    """Return the time of the first such event of a host; for IN_DNS, the first after its boot."""
    mine = [each for each in events if each.host == host]
    after_s = began_s
    if what is HostEvent.IN_DNS:
        after_s = next((each.at_s for each in mine if each.what is HostEvent.NEW_BOOT), _NEVER_S)
    found = (each.at_s for each in mine if each.what is what and each.at_s >= after_s)
    return next(found, _NEVER_S) - began_s
