"""Durations and shares as people write them: `500ms`, `5s`, `2m`, `5s:20s`, `50%`."""

import re

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHARE = re.compile(r"(\d{1,2}|100)%")
# Without a greatest wait, as consul-template has it.
WAIT_MAX_TO_MIN = 4.0


def seconds(text: str) -> float:
    """Read a duration. Raises ValueError."""
    if not (found := _DURATION.fullmatch(text)):
        raise ValueError('a duration is a number with ms, s, m or h: "30s"')
    return float(found[1]) * _UNITS_S[found[2]]


def wait(text: str) -> tuple[float, float]:
    """Read `MIN` or `MIN:MAX`. Raises ValueError."""
    least, colon, most = text.partition(":")
    least_s = seconds(least)
    most_s = seconds(most) if colon else least_s * WAIT_MAX_TO_MIN
    if most_s < least_s:
        raise ValueError("the greatest wait is less than the least one")
    return least_s, most_s


def share(text: str) -> float:
    """Read a percentage as a part of one. Raises ValueError."""
    if not (found := _SHARE.fullmatch(text)):
        raise ValueError('a share is a whole percentage: "50%"')
    return int(found[1]) / 100
