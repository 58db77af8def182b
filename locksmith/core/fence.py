"""The last check before a reboot: is the grant of this host still valid?

A grant's fencing token is the index of the write that gave the slot. Between the grant and the
reboot this host may have been stopped for hours, while an operator took its slot away and gave it
to another host. So a quorum read must show this host among the holders, with its own record and
its own token, before the deadline; and the reboot must follow that read at once.
"""

from dataclasses import dataclass

from locksmith.core.records import HolderRecord
from locksmith.core.semaphore import Semaphore

# From the first byte of the quorum read to the call of logind. If this process was stopped in
# between, it reads again.
FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A slot as this host got it; `deadline_s` is on the clock that also runs in suspend."""

    token: int
    boot_id: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a grant is no longer valid, and whether the slot is still this host's to release."""

    why: str
    is_ours: bool


DEADLINE_PASSED = Objection("the deadline of the grant has passed", is_ours=True)
SLOT_TAKEN = Objection("the slot was taken away", is_ours=False)


def objection(
    grant: Grant, holder: str, found: Semaphore, record: HolderRecord | None, clock_s: float
) -> Objection | None:
    """Return why the grant is no longer valid; None while it is."""
    if clock_s >= grant.deadline_s:
        return DEADLINE_PASSED
    if holder not in found.holders:
        return SLOT_TAKEN
    if record is None:
        return Objection("the record of the grant is gone", is_ours=False)
    if record.boot_id != grant.boot_id:
        why = "the record is of another boot: two hosts may have one machine-id"
        return Objection(why, is_ours=False)
    if record.token != grant.token:
        why = f"the slot was granted again (index {record.token}, not {grant.token})"
        return Objection(why, is_ours=False)
    return None
