"""What happened when, and the table of it. Pure."""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec


class What(Enum):
    """What can happen to a host; the values of locksmith's events are its own."""

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


class Moment(msgspec.Struct, frozen=True):
    """One of these, at a time of the monotonic clock."""

    at_s: float
    host: str
    what: What
    detail: str = ""


COLUMNS = (
    ("slot", What.GRANTED),
    ("out of DNS", What.OUT_OF_DNS),
    ("drained", What.REBOOTING),
    ("new boot", What.NEW_BOOT),
    ("in DNS", What.IN_DNS),
    ("healthy", What.HEALTHY),
)
# Of these a round has one each; others are told in lines of their own.
APART = (What.ABORTED, What.FAILED, What.FAULT)


def table(moments: Iterable[Moment], hosts: Sequence[str], began_s: float) -> str:
    """Return a row for each host in the order of the slot: seconds since the beginning."""
    moments = sorted(moments, key=lambda each: each.at_s)
    rows = {host: [_at(moments, host, what, began_s) for _, what in COLUMNS] for host in hosts}
    lines = ["host  " + "".join(f"{title:>12}" for title, _ in COLUMNS)]
    for host in sorted(hosts, key=lambda host: rows[host][0]):
        cells = [f"{at_s:11.1f}s" if at_s < _NEVER_S else f"{'-':>12}" for at_s in rows[host]]
        lines.append(f"{host:6}" + "".join(cells))
    lines += [
        f"{each.at_s - began_s:6.1f}s  {each.host} {each.what.value}: {each.detail}"
        for each in moments
        if each.what in APART
    ]
    return "\n".join(lines)


_NEVER_S = float("inf")


def _at(moments: Iterable[Moment], host: str, what: What, began_s: float) -> float:
    """Return when something happened to a host the first time; in DNS again, after its boot."""
    mine = [each for each in moments if each.host == host]
    after_s = began_s
    if what is What.IN_DNS:
        after_s = next((each.at_s for each in mine if each.what is What.NEW_BOOT), _NEVER_S)
    found = (each.at_s for each in mine if each.what is what and each.at_s >= after_s)
    return next(found, _NEVER_S) - began_s
