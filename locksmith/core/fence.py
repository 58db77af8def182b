"""The last look before a reboot: does the grant of this host still stand?

The token of a grant is the index of the write that gave the slot. Between the grant and the
reboot the host may have been stopped for hours, its slot taken away by an operator and given to
another. So a quorum read must show the host among the holders, under its own record with its own
token, and not too late; and what was read must be used at once.
"""

from dataclasses import dataclass

from locksmith.core.records import HolderRecord
from locksmith.core.semaphore import Semaphore

# From the first byte of the quorum read to the call of logind. A process that was stopped in
# between looks again.
FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A slot as this host got it; `deadline_s` is on the clock that also runs in suspend."""

    token: int
    boot_id: str
    deadline_s: float


def objection(
    grant: Grant, holder: str, found: Semaphore, record: HolderRecord | None, clock_s: float
) -> str:
    """Return why the grant stands no more; "" when it does."""
    if clock_s >= grant.deadline_s:
        return "its deadline has passed"
    if holder not in found.holders:
        return "the slot was taken away"
    if record is None:
        return "its record is gone"
    if record.boot_id != grant.boot_id:
        return "its record is of another boot: two hosts may have one machine-id"
    if record.token != grant.token:
        return f"the slot was granted anew (index {record.token}, not {grant.token})"
    return ""
