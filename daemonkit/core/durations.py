"""Durations as people write them: `250ms`, `30s`, `1h30m`, `1.5s`, `7d`.

The grammar is that of Go's time.ParseDuration without a sign, with two more units from
systemd.time(7): `min` and `d`.
"""

import re

_UNIT_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,  # U+00B5, micro sign
    "μs": 1e-6,  # U+03BC, Greek mu
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_TERM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|min|m|h|d)")
_BARE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def parse(text: str, *, bare_seconds: bool = False) -> float:
    """Return a duration in seconds, zero or more.

    With `bare_seconds` a plain number is seconds; without it, only `0` needs no unit. Raises
    ValueError, which quotes the text and shows the right form.
    """
    if text == "0" or (bare_seconds and _BARE.fullmatch(text)):
        return float(text)
    total_s, at = 0.0, 0
    while match := _TERM.match(text, at):
        total_s += float(match[1]) * _UNIT_S[match[2]]
        at = match.end()
    if at == 0 or at != len(text):
        raise ValueError(f'"{text}" is not a duration: write it like "500ms", "5s" or "1h30m"')
    return total_s
