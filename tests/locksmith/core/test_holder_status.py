"""The status of a slot's holder."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from locksmith.core import holder_status
from locksmith.core.holder_status import HolderStatus
from locksmith.core.records import Heartbeat, HolderRecord, Phase

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RECORD = HolderRecord("b1", "h", "2026-03-01T11:00:00Z", Phase.REBOOTING, token=7)


@pytest.mark.parametrize(
    ("phase", "alive_in", "late", "expected"),
    [
        (Phase.HELD, "b1", False, HolderStatus.PREPARING),
        (Phase.REBOOTING, "b1", False, HolderStatus.REBOOTING),
        (Phase.REBOOTING, "b1", True, HolderStatus.REFUSED),
        (Phase.REBOOTING, "", False, HolderStatus.REBOOTING),
        (Phase.REBOOTING, "", True, HolderStatus.LOST),
        (Phase.REBOOTING, "b2", True, HolderStatus.BACK),
        (Phase.FAILED, "b2", True, HolderStatus.FAILED),
    ],
)
def test_holder_status_follows_from_phase_heartbeat_and_deadline(
    phase: Phase, alive_in: str, late: bool, expected: HolderStatus
) -> None:
    deadline = "2026-03-01T11:30:00Z" if late else "2026-03-01T12:30:00Z"
    record = msgspec.structs.replace(RECORD, phase=phase, deadline=deadline)
    beat = Heartbeat("h", alive_in, "", "1") if alive_in else None
    assert holder_status.classify(record, beat, NOW) is expected


def test_holder_without_record_or_deadline_is_never_lost() -> None:
    assert holder_status.classify(None, None, NOW) is HolderStatus.UNKNOWN
    assert holder_status.classify(RECORD, None, NOW + timedelta(days=9)) is HolderStatus.REBOOTING
