"""When reboots may happen: reboot windows and excluded days.

As in Go's locksmith, a window opens at a wall-clock time of its zone and lasts for an elapsed
time. So a window that spans a clock change is as long as any other. A window whose start falls
into the hour that is skipped in spring opens when that hour would have begun.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from daemonkit.core import durations

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# How far ahead we look for the next opening.
AHEAD_DAYS = 70
WEEK = timedelta(days=7)
_WINDOW = re.compile(r"(?:(?P<days>[A-Za-z,-]+)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{1,2})")


class InvalidWindow(ValueError):  # noqa: N818 - the message is read by an operator
    """A window, duration or date cannot be parsed; the message shows a valid one."""


@dataclass(frozen=True, slots=True)
class Window:
    """Opens at `at` on `days` (Monday is 0) and lasts `length`."""

    days: frozenset[int]
    at: time
    length: timedelta


@dataclass(frozen=True, slots=True)
class Open:
    """Reboots may happen until `until`; None means no end."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Closed:
    """No reboot may happen now; `opens` is None if no opening is near."""

    why: str
    opens: datetime | None

    def __str__(self) -> str:
        return f"{self.why}; opens {self.opens:%a %Y-%m-%d %H:%M %Z}" if self.opens else self.why


@dataclass(frozen=True, slots=True)
class Calendar:
    """All rules of a host about time. Without windows, a reboot may happen on any day not excluded.

    At least `remaining` must be left of a window for a reboot to begin; `spread` is the time after
    an opening over which the hosts' reboots are spread.
    """

    zone: tzinfo = UTC
    windows: tuple[Window, ...] = ()
    excluded: tuple[tuple[date, date], ...] = ()
    remaining: timedelta = timedelta()
    spread: timedelta = timedelta()

    def at(self, now: datetime, share: float = 0.0) -> Open | Closed:
        """Return whether a host may reboot at `now`; `share` is its place in the spread, 0 to 1."""
        today = now.astimezone(self.zone).date()
        if self._is_excluded(today):
            return Closed(f"{today} is excluded", self._next_opening(now, share))
        until = self._open_until(now, share)
        if until is None:
            return Closed("outside all windows", self._next_opening(now, share))
        if until is not _NEVER and until - now < self.remaining:
            why = f"less than {self.remaining} is left of the window"
            return Closed(why, self._next_opening(now, share))
        return Open(None if until is _NEVER else until)

    def _open_until(self, now: datetime, share: float) -> datetime | None:
        ends = [_NEVER] if not self.windows else []
        for window in self.windows:
            ends += [
                start + window.length
                for start in self._starts(window, now, back_days=8, ahead_days=1)
                if start + self._shift(window, share) <= now <= start + window.length
            ]
        if not ends:
            return None
        return min([max(ends), *self._exclusions_after(now)])

    def _next_opening(self, now: datetime, share: float) -> datetime | None:
        if self.windows:
            starts = (
                start + self._shift(window, share)
                for window in self.windows
                for start in self._starts(window, now, back_days=1, ahead_days=AHEAD_DAYS)
            )
        else:
            starts = (self._instant(last + timedelta(days=1), time()) for _, last in self.excluded)
        for start in sorted(start for start in starts if start > now):
            local = start.astimezone(self.zone)
            if not self._is_excluded(local.date()):
                return local
        return None

    def _starts(
        self, window: Window, now: datetime, *, back_days: int, ahead_days: int
    ) -> list[datetime]:
        today = now.astimezone(self.zone).date()
        days = (today + timedelta(days=offset) for offset in range(-back_days, ahead_days + 1))
        return [self._instant(day, window.at) for day in days if day.weekday() in window.days]

    def _shift(self, window: Window, share: float) -> timedelta:
        return max(timedelta(), min(self.spread, window.length - self.remaining)) * share

    def _exclusions_after(self, now: datetime) -> list[datetime]:
        starts = (self._instant(first, time()) for first, _ in self.excluded)
        return [start for start in starts if start > now]

    def _is_excluded(self, day: date) -> bool:
        return any(first <= day <= last for first, last in self.excluded)

    def _instant(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)


_NEVER = datetime.max.replace(tzinfo=UTC)


def parse_window(text: str) -> Window:
    """Parse `[DAYS ]HH:MM+LENGTH`: `22:00+4h`, `Sat,Sun 1:00+90m`, `Mon-Fri 23:00+2h30m`."""
    start, plus, length_text = text.strip().partition("+")
    found = _WINDOW.fullmatch(start.strip())
    if not plus or found is None:
        raise InvalidWindow(f"window {text!r}: write [DAYS ]HH:MM+LENGTH, such as Sat,Sun 1:00+90m")
    hour, minute = int(found["hour"]), int(found["minute"])
    if hour > 23 or minute > 59:
        raise InvalidWindow(f"window {text!r}: {hour}:{minute:02} is not a time of day")
    days, length = _days(found["days"] or "Mon-Sun", text), parse_duration(length_text)
    bound = timedelta(days=1) if found["days"] is None else WEEK
    if not timedelta() < length < bound:
        raise InvalidWindow(
            f"window {text!r}: the length must be more than 0 and less than {bound}"
        )
    return Window(days, time(hour, minute), length)


def split_windows(text: str) -> list[str]:
    """Split at semicolons, and at a comma after a length, which is how TOML lists arrive here."""
    parts = re.split(r";|(?<=\d[smhd]),", text)
    return [part.strip() for part in parts if part.strip()]


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as `90m`, `1h30m` or `14d`. Raises InvalidWindow."""
    try:
        return timedelta(seconds=durations.parse(text.strip()))
    except (ValueError, OverflowError) as error:
        raise InvalidWindow(f"duration {text!r}: {error}") from None


def parse_excluded(text: str) -> tuple[date, date]:
    """Parse a day or a range of days: `2026-12-24`, `2026-12-24..2027-01-02`."""
    first, _, last = text.strip().partition("..")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise InvalidWindow(f"date {text!r}: write 2026-12-24 or 2026-12-24..2027-01-02") from None
    if days[1] < days[0]:
        raise InvalidWindow(f"dates {text!r}: the last day is before the first")
    return days


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise InvalidWindow(
                f"window {whole!r}: days are {', '.join(DAYS)} or ranges such as mon-fri"
            )
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(found)
