"""Durations as Go writes them: `1h30m`, `250ms`, `1.5s` (time.ParseDuration)."""

import math
import re

_UNIT_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,  # U+00B5, micro sign
    "μs": 1e-6,  # U+03BC, Greek mu
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def parse(text: str) -> float:
    """Return the seconds of a duration that is not negative. ValueError names the text."""
    if text == "0":
        return 0.0
    total_s, at = 0.0, 0
    while match := _TERM.match(text, at):
        total_s += float(match[1]) * _UNIT_S[match[2]]
        at = match.end()
    if at == 0 or at != len(text):
        raise ValueError(f'"{text}" is not a duration: write it like "500ms", "5s" or "1m30s"')
    return total_s


def format_duration(seconds: float) -> str:
    """Write a duration as Go does, in whole milliseconds: `1.5s`, `200ms`."""
    millis = math.ceil(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms"
    whole, rest = divmod(millis, 60_000)
    text = f"{rest / 1000:g}s"
    hours, minutes = divmod(whole, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
