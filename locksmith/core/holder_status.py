"""The status of a slot's holder, from three facts: its heartbeat, its boot, and its deadline."""

from datetime import datetime, timedelta
from enum import Enum

from locksmith.core import records
from locksmith.core.records import Heartbeat, HolderRecord, Phase

# Clocks of hosts differ by up to a minute; a holder does not count as lost for that.
SKEW = timedelta(minutes=1)


class HolderStatus(Enum):
    """The state of a holder's reboot, or its failure."""

    UNKNOWN = "unknown"  # no record: another program or an operator took the slot
    PREPARING = "preparing"  # alive, before its reboot
    REBOOTING = "rebooting"
    REFUSED = "refused"  # alive in its old boot after the deadline
    BACK = "back"  # alive in a new boot, being checked
    FAILED = "failed"
    LOST = "lost"  # no heartbeat after the deadline


def classify(record: HolderRecord | None, beat: Heartbeat | None, now: datetime) -> HolderStatus:
    """Return the status of a holder."""
    if record is None:
        return HolderStatus.UNKNOWN
    if record.phase is Phase.FAILED:
        return HolderStatus.FAILED
    if beat is not None and beat.boot_id != record.boot_id:
        return HolderStatus.BACK
    deadline = records.parse_time(record.deadline)
    late = deadline is not None and now - deadline > SKEW
    if beat is None:
        return HolderStatus.LOST if late else HolderStatus.REBOOTING
    if record.phase is Phase.REBOOTING:
        return HolderStatus.REFUSED if late else HolderStatus.REBOOTING
    return HolderStatus.REFUSED if late else HolderStatus.PREPARING
