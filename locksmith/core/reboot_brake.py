"""The brake on reboot loops: a host whose reboots do not end its need for one stops rebooting.

A boot loader that keeps the old kernel, or a command that always asks for a reboot, would make a
host reboot, pass its check and queue again, for ever. So a host remembers, across its boots, the
reboots in a row that did not help. The row ends when the host has needed no reboot for SETTLED_S,
or when an operator lets the host go on.

The row is kept on the disk and in the store, and either may be missing or behind. So the reboots
have numbers: a merge keeps what either has, above the number up to which they are forgiven. The
clock of a host may be wrong, so it decides only about the length of a pause.
"""

from datetime import datetime, timedelta

from locksmith.core import records
from locksmith.core.records import OrderedReboot, RebootRow

# The second reboot of a row may be for another reason. Before the third and the fourth, the host
# pauses for 10 and 40 minutes.
PAUSE_FIRST = timedelta(minutes=10)
PAUSE_FACTOR = 4
# After so many reboots in a row, only an operator lets the host go on.
REBOOTS_MAX = 4
# A program that asks for a reboot at each boot does so within this time.
SETTLED_S = 3600.0
# More than REBOOTS_MAX: an operator may let a host go on several times.
KEPT_MAX = 10


def merged(one: RebootRow, other: RebootRow) -> RebootRow:
    """Return what both copies of a row know. Of the orders in one boot, only the last counts."""
    limit = max(one.forgiven, other.forgiven)
    found = sorted((*one.reboots, *other.reboots), key=_order)
    by_boot = {each.boot_id: each for each in found if each.number > limit}
    left = sorted(by_boot.values(), key=_order)
    return RebootRow(tuple(left[-KEPT_MAX:]), limit)


def ordered(row: RebootRow, boot_id: str, now: datetime, reasons: tuple[str, ...]) -> RebootRow:
    """Return the row with the reboot that is ordered now."""
    reboot = OrderedReboot(_last_number(row) + 1, boot_id, records.format_time(now), reasons)
    return merged(row, RebootRow((reboot,)))


def forgiven(row: RebootRow) -> RebootRow:
    """Return the row after its end: no reboot so far counts any more."""
    return RebootRow((), _last_number(row))


def verdict(row: RebootRow, boot_id: str, now: datetime, uptime: timedelta) -> str:
    """Return why the row forbids a reboot now, or ""."""
    earlier = [each for each in row.reboots if each.boot_id != boot_id]
    if len(earlier) < 2:
        return ""
    last, count = earlier[-1], len(earlier)
    remedy = "locksmithctl resume HOST lets it go on"
    if count >= REBOOTS_MAX:
        why = "; ".join(last.reasons)
        return f"reboot loop: {count} reboots in a row did not end the need ({why}); {remedy}"
    at = records.parse_time(last.at)
    since = now - at if at is not None and at <= now else uptime
    left = PAUSE_FIRST * PAUSE_FACTOR ** (count - 2) - since
    if left <= timedelta():
        return ""
    until = records.format_time(now + left)
    return f"reboot loop: the need is back after {count} in a row; pause until {until}; {remedy}"


def _last_number(row: RebootRow) -> int:
    return max((row.forgiven, *(each.number for each in row.reboots)))


def _order(reboot: OrderedReboot) -> tuple[object, ...]:
    return (reboot.number, reboot.boot_id, reboot.at, reboot.reasons)
