"""The last check before a reboot."""

import msgspec
import pytest

from locksmith.core import fence
from locksmith.core.fence import Grant
from locksmith.core.records import HolderRecord, Phase
from locksmith.core.semaphore import Semaphore

RECORD = HolderRecord("b1", "h", "2026-03-01T11:00:00Z", Phase.REBOOTING, token=7)
GRANT = Grant(token=7, boot_id="b1", deadline_s=100.0)
HELD = Semaphore(1, ("h",))


def test_unchanged_grant_is_valid() -> None:
    assert fence.objection(GRANT, "h", HELD, RECORD, 99.0) is None


@pytest.mark.parametrize(
    ("found", "record", "clock_s", "why"),
    [
        (HELD, RECORD, 100.0, "deadline"),
        (Semaphore(1, ("x",)), RECORD, 0.0, "taken away"),
        (HELD, None, 0.0, "gone"),
        (HELD, msgspec.structs.replace(RECORD, boot_id="b2"), 0.0, "machine-id"),
        (HELD, msgspec.structs.replace(RECORD, token=8), 0.0, "granted again"),
    ],
)
def test_changed_grant_is_not_valid(
    found: Semaphore, record: HolderRecord | None, clock_s: float, why: str
) -> None:
    objection = fence.objection(GRANT, "h", found, record, clock_s)
    assert objection is not None
    assert why in objection.why
    assert objection.is_ours is (objection is fence.DEADLINE_PASSED)
