"""Windows, excluded days, and clock changes in spring and autumn."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locksmith.core.window import (
    Calendar,
    Closed,
    InvalidWindow,
    Open,
    Window,
    parse_duration,
    parse_excluded,
    parse_window,
    split_windows,
)

BERLIN = ZoneInfo("Europe/Berlin")


def calendar(*windows: str, zone: ZoneInfo | None = None, **rules: object) -> Calendar:
    return Calendar(zone or UTC, tuple(map(parse_window, windows)), **rules)  # type: ignore[arg-type]


def at(text: str, zone: ZoneInfo | None = None) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC)


# Go's own vectors, with their dates.
@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        ("02:33+10h", "2015-05-30 12:33:00", True),
        ("02:33+10h", "2015-05-30 12:33:01", False),
        ("Sat 23:05+11h", "2015-05-31 09:33:01", True),
        ("Sat 23:05+11h", "2015-05-31 10:05:01", False),
        ("Sun 23:00+4h", "2015-06-01 01:00:00", True),
        ("Thu 23:00+1h30m", "2015-06-05 00:30:00", True),
        ("Mon-Fri 21:00+8h", "2015-06-06 04:00:00", True),
        ("Mon-Fri 21:00+8h", "2015-06-01 04:00:00", False),
        ("Sat,Sun 1:00+90m", "2015-05-31 02:15:00", True),
        ("Fri-Mon 1:00+90m", "2015-06-01 02:15:00", True),
        ("Fri-Mon 1:00+90m", "2015-06-02 02:15:00", False),
    ],
)
def test_window_is_open_from_its_start_to_its_end(window: str, moment: str, is_open: bool) -> None:
    assert isinstance(calendar(window).at(at(moment)), Open) is is_open


def test_closed_window_says_when_it_opens() -> None:
    found = calendar("Mon 9:00+1h").at(at("2015-05-30 23:00:00"))
    assert isinstance(found, Closed)
    assert found.opens == at("2015-06-01 09:00:00")


@pytest.mark.parametrize(
    "text",
    [
        *("25:00+1h", "23:61+1h", "14+1h", "foo 14:00+1h", "sat+1h", "sat 14:00 1234"),
        *("14:00+1j", "14:00+-1h", "14:00+0s", "14:00+24h", "Sat 14:00+168h", "", "14:00"),
    ],
)
def test_invalid_window_is_rejected(text: str) -> None:
    with pytest.raises(InvalidWindow):
        parse_window(text)


def test_durations_are_those_of_go_and_days() -> None:
    assert parse_duration("1h30m") == timedelta(minutes=90)
    assert parse_duration("1.5h") == timedelta(minutes=90)
    assert parse_duration("2d12h") == timedelta(days=2, hours=12)
    for text in ("", "h", "1", "1h 30", "1d2"):
        with pytest.raises(InvalidWindow):
            parse_duration(text)


def test_windows_are_split_as_flags_and_toml_write_them() -> None:
    assert split_windows("Sat,Sun 1:00+90m; 22:00+4h") == ["Sat,Sun 1:00+90m", "22:00+4h"]
    assert split_windows("Sat,Sun 1:00+90m,22:00+4h") == ["Sat,Sun 1:00+90m", "22:00+4h"]


def test_window_over_the_skipped_hour_in_spring_keeps_its_length() -> None:
    nightly = calendar("01:00+3h", zone=BERLIN)
    assert isinstance(nightly.at(at("2026-03-29 04:59:00", BERLIN)), Open)
    assert isinstance(nightly.at(at("2026-03-29 05:01:00", BERLIN)), Closed)


def test_window_that_starts_in_the_skipped_hour_opens_when_that_hour_would_begin() -> None:
    nightly = calendar("02:30+1h", zone=BERLIN)
    assert isinstance(nightly.at(datetime(2026, 3, 29, 1, 29, tzinfo=UTC)), Closed)
    assert isinstance(nightly.at(datetime(2026, 3, 29, 1, 31, tzinfo=UTC)), Open)


def test_window_over_the_repeated_hour_in_autumn_keeps_its_length() -> None:
    nightly = calendar("01:00+3h", zone=BERLIN)
    start = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    assert isinstance(nightly.at(start + timedelta(hours=2, minutes=59)), Open)
    assert isinstance(nightly.at(start + timedelta(hours=3, minutes=1)), Closed)


def test_window_closes_when_the_clock_jumps_past_it() -> None:
    nightly = calendar("01:00+1h")
    assert isinstance(nightly.at(at("2026-05-01 01:30:00")), Open)
    assert isinstance(nightly.at(at("2026-05-01 09:30:00")), Closed)


def test_window_with_too_little_time_left_is_closed() -> None:
    nightly = calendar("01:00+1h", remaining=timedelta(minutes=20))
    assert isinstance(nightly.at(at("2026-05-01 01:40:00")), Open)
    found = nightly.at(at("2026-05-01 01:41:00"))
    assert isinstance(found, Closed)
    assert "left" in str(found)


def test_excluded_days_close_and_end_windows() -> None:
    frozen = (parse_excluded("2026-12-24..2027-01-02"),)
    nightly = calendar("23:00+4h", excluded=frozen)
    assert nightly.at(at("2026-12-23 23:30:00")) == Open(at("2026-12-24 00:00:00"))
    found = nightly.at(at("2026-12-24 23:30:00"))
    assert isinstance(found, Closed)
    assert found.opens == at("2027-01-03 23:00:00")
    assert isinstance(Calendar(excluded=frozen).at(at("2026-12-31 12:00:00")), Closed)
    assert isinstance(Calendar(excluded=frozen).at(at("2027-01-03 00:00:00")), Open)


def test_hosts_are_spread_over_the_start_of_a_window() -> None:
    nightly = calendar("01:00+2h", spread=timedelta(hours=1))
    now = at("2026-05-01 01:30:00")
    assert isinstance(nightly.at(now, share=0.4), Open)
    assert isinstance(nightly.at(now, share=0.6), Closed)


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "2026-02-02..2026-02-01"])
def test_invalid_date_is_rejected(text: str) -> None:
    with pytest.raises(InvalidWindow):
        parse_excluded(text)


@given(
    st.integers(0, 365 * 24 * 60),
    st.integers(0, 23),
    st.integers(1, 23 * 60),
    st.sets(st.integers(0, 6), min_size=1),
)
def test_window_is_open_if_it_started_less_than_its_length_ago(
    minute: int, hour: int, minutes: int, days: set[int]
) -> None:
    now = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).astimezone(BERLIN)
    length = timedelta(minutes=minutes)
    one = Calendar(BERLIN, (Window(frozenset(days), time(hour), length),))
    begun = False
    for back in range(3):
        day: date = (now - timedelta(days=back)).date()
        start = datetime.combine(day, time(hour), tzinfo=BERLIN)
        elapsed = now.astimezone(UTC) - start.astimezone(UTC)
        begun |= day.weekday() in days and timedelta() <= elapsed <= length
    assert isinstance(one.at(now), Open) is begun
