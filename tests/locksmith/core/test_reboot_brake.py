"""The brake on reboot loops."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from locksmith.core import reboot_brake, records
from locksmith.core.reboot_brake import KEPT_MAX
from locksmith.core.records import OrderedReboot, RebootRow

START = datetime(2026, 1, 1, tzinfo=UTC)
UPTIME = timedelta(minutes=2)
WHY = ("command: an old kernel",)


def row_of(*boots: str) -> RebootRow:
    """Return a row with one reboot a day, ordered in these boots."""
    row = RebootRow()
    for number, boot in enumerate(boots):
        row = reboot_brake.ordered(row, boot, START + timedelta(days=number), WHY)
    return row


def verdict(row: RebootRow, boot: str, after: timedelta) -> str:
    return reboot_brake.verdict(row, boot, START + after, UPTIME)


def test_the_first_reboot_does_not_wait() -> None:
    assert verdict(RebootRow(), "boot-1", timedelta()) == ""


def test_a_reboot_that_did_not_happen_is_ordered_again() -> None:
    assert verdict(row_of("boot-1"), "boot-1", timedelta()) == ""


def test_the_second_reboot_does_not_wait() -> None:
    assert verdict(row_of("boot-1"), "boot-2", timedelta()) == ""


def test_the_pause_grows_with_each_reboot_that_did_not_help() -> None:
    two, three = row_of("boot-1", "boot-2"), row_of("boot-1", "boot-2", "boot-3")
    day, late = timedelta(days=1), timedelta(minutes=9)
    assert "pause until 2026-01-02T00:10:00Z" in verdict(two, "boot-3", day + late)
    assert verdict(two, "boot-3", day + timedelta(minutes=10)) == ""
    assert "pause until 2026-01-03T00:40:00Z" in verdict(three, "boot-4", 2 * day + late)
    assert verdict(three, "boot-4", 2 * day + timedelta(minutes=40)) == ""


def test_the_fourth_reboot_in_a_row_is_the_last() -> None:
    row = row_of("boot-1", "boot-2", "boot-3", "boot-4")
    assert verdict(row, "boot-5", timedelta(days=400)) == (
        "reboot loop: 4 reboots in a row did not end the need (command: an old kernel); "
        "locksmithctl resume HOST lets it go on"
    )


def test_forgiven_reboots_do_not_count_in_any_copy() -> None:
    row = row_of("boot-1", "boot-2", "boot-3")
    ended = reboot_brake.forgiven(row)
    assert verdict(reboot_brake.merged(row, ended), "boot-4", timedelta(days=3)) == ""
    again = reboot_brake.ordered(ended, "boot-4", START, WHY)
    assert len(reboot_brake.merged(row, again).reboots) == 1


def test_a_clock_that_was_set_back_counts_the_uptime_as_the_pause() -> None:
    row, earlier = row_of("boot-1", "boot-2"), START - timedelta(days=9)
    assert "pause until" in reboot_brake.verdict(row, "boot-3", earlier, UPTIME)
    assert reboot_brake.verdict(row, "boot-3", earlier, timedelta(minutes=10)) == ""


ROWS = st.builds(
    RebootRow,
    st.lists(
        st.builds(
            OrderedReboot, st.integers(0, 30), st.sampled_from("abcdefgh"), st.text(max_size=3)
        ),
        max_size=20,
    ).map(tuple),
    st.integers(0, 20),
)


@given(ROWS, ROWS)
def test_a_merge_is_bounded_and_knows_what_either_copy_knows(
    one: RebootRow, two: RebootRow
) -> None:
    both = reboot_brake.merged(one, two)
    assert both == reboot_brake.merged(both, one) == reboot_brake.merged(both, both)
    assert len(both.reboots) <= KEPT_MAX
    assert both.forgiven == max(one.forgiven, two.forgiven)
    boots = [each.boot_id for each in both.reboots]
    assert len(set(boots)) == len(boots)
    newest = max((each.number for each in (*one.reboots, *two.reboots)), default=0)
    if newest > both.forgiven:
        assert both.reboots[-1].number == newest
    assert reboot_brake.verdict(both, "a", START, UPTIME) is not None
    assert records.decode(records.encode(both), RebootRow) == both
