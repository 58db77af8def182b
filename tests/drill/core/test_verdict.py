"""The table of the timeline, and when a drill passes."""

import msgspec

from drill.core import timeline
from drill.core.observations import Requests, Writes
from drill.core.timeline import HostEvent, TimelineEvent
from drill.core.verdict import Verdict

SEEN = Requests(
    seconds=10.0, sent=2500, failed=0, failures=(), resent=0, next_address=0,
    median_ms=2.0, p99_ms=9.0, longest_ms=40.0, longest_at_s=105.0, behind_ms=1.0,
)  # fmt: skip
GOOD = Verdict(
    requests={"vulcand": SEEN}, wrong=[], asked=100, writes=Writes((1, 2), (), 3.0, 101.0), lost=[],
    timeline="", prefix="/drill", seconds=12.0, began_s=100.0,
)  # fmt: skip


def test_a_drill_without_failures_passes() -> None:
    assert GOOD.passed
    assert "through vulcand: 2500 sent (250/s), 0 failed" in GOOD.text()
    assert "longest 40 ms at 5.0s" in GOOD.text()
    assert GOOD.text().endswith("PASSED")


def test_one_failed_request_wrong_answer_or_lost_write_fails_the_drill() -> None:
    failed = msgspec.structs.replace(SEEN, failed=1, failures=("104.2 fresh Wrong: 502",))
    for worse in (
        msgspec.structs.replace(GOOD, requests={"vulcand": SEEN, "nginx": failed}),
        msgspec.structs.replace(GOOD, wrong=["10.0.0.1 answered NXDOMAIN"]),
        msgspec.structs.replace(GOOD, lost=[2]),
    ):
        assert not worse.passed
        assert worse.text().endswith("FAILED")


def test_a_drill_without_requests_does_not_pass() -> None:
    assert not msgspec.structs.replace(GOOD, asked=0).passed
    silent = msgspec.structs.replace(GOOD.writes, acknowledged=())
    assert not msgspec.structs.replace(GOOD, writes=silent).passed


def test_the_table_has_one_row_per_host_in_the_order_of_their_slots() -> None:
    events = [
        TimelineEvent(101.0, "h2", HostEvent.GRANTED),
        TimelineEvent(102.0, "h2", HostEvent.OUT_OF_DNS),
        TimelineEvent(103.0, "h2", HostEvent.REBOOTING),
        TimelineEvent(104.0, "h1", HostEvent.FAULT, "its cable is pulled"),
        TimelineEvent(106.0, "h2", HostEvent.NEW_BOOT),
        TimelineEvent(108.5, "h2", HostEvent.IN_DNS),
        TimelineEvent(110.0, "h2", HostEvent.HEALTHY),
        TimelineEvent(111.0, "h1", HostEvent.GRANTED),
    ]
    assert timeline.table(events, ["h1", "h2"], 100.0).splitlines() == [
        "host          slot  out of DNS     drained    new boot      in DNS     healthy",
        "h2            1.0s        2.0s        3.0s        6.0s        8.5s       10.0s",
        "h1           11.0s           -           -           -           -           -",
        "   4.0s  h1 fault: its cable is pulled",
    ]


def test_a_record_from_before_the_boot_does_not_count_as_its_return() -> None:
    events = [
        TimelineEvent(101.0, "h1", HostEvent.IN_DNS),
        TimelineEvent(102.0, "h1", HostEvent.NEW_BOOT),
    ]
    row = timeline.table(events, ["h1"], 100.0).splitlines()[1]
    assert row.split() == ["h1", "-", "-", "-", "2.0s", "-", "-"]
