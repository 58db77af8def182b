"""What became of a holder, from three facts: its heartbeat, its boot, and its deadline."""

from datetime import datetime, timedelta
from enum import Enum

from locksmith.core import records
from locksmith.core.records import Heartbeat, HolderRecord, Phase

# Clocks of hosts differ; a holder is not called lost for a minute of that.
SKEW = timedelta(minutes=1)


class Verdict(Enum):
    """What a holder is doing, or has suffered."""

    UNKNOWN = "unknown"  # no record: another program or an operator took the slot
    PREPARING = "preparing"  # alive, before its reboot
    REBOOTING = "rebooting"
    REFUSED = "refused"  # alive in its old boot after the deadline
    BACK = "back"  # alive in a new boot, being checked
    FAILED = "failed"
    LOST = "lost"  # silent after the deadline


def of(record: HolderRecord | None, beat: Heartbeat | None, now: datetime) -> Verdict:
    """Classify a holder."""
    if record is None:
        return Verdict.UNKNOWN
    if record.phase is Phase.FAILED:
        return Verdict.FAILED
    if beat is not None and beat.boot_id != record.boot_id:
        return Verdict.BACK
    deadline = records.moment(record.deadline)
    late = deadline is not None and now > deadline + SKEW
    if beat is None:
        return Verdict.LOST if late else Verdict.REBOOTING
    if record.phase is Phase.REBOOTING:
        return Verdict.REFUSED if late else Verdict.REBOOTING
    return Verdict.REFUSED if late else Verdict.PREPARING
