"""A wait written `2s` or `2s:10s`, and a percentage written `50%`."""

import re

from daemonkit.core import durations

_PERCENTAGE = re.compile(r"(\d{1,2}|100)%")
# The longest wait when only the shortest is given, as in consul-template.
WAIT_MAX_TO_MIN = 4.0


def parse_wait(text: str) -> tuple[float, float]:
    """Return the shortest and the longest wait of `MIN` or `MIN:MAX`. Raises ValueError."""
    shortest, colon, longest = text.partition(":")
    shortest_s = durations.parse(shortest)
    longest_s = durations.parse(longest) if colon else shortest_s * WAIT_MAX_TO_MIN
    if longest_s < shortest_s:
        raise ValueError("the longest wait is less than the shortest one")
    return shortest_s, longest_s


def parse_percentage(text: str) -> float:
    """Return a whole percentage as a part of one. Raises ValueError."""
    if not (found := _PERCENTAGE.fullmatch(text)):
        raise ValueError('a percentage is a whole number with a percent sign: "50%"')
    return int(found[1]) / 100
