"""Processors as people write them: `2`, `0.5` or `500m`."""

import re

_CPU = re.compile(r"(\d{1,9})(m?)|(\d{0,9})\.(\d{1,3})", re.ASCII)


def millicores(text: str) -> int:
    """Return a number of processors in thousandths. Raises ValueError."""
    match = _CPU.fullmatch(text)
    if match is None or text == ".":
        raise ValueError(f"{text!r} is not a number of processors: write 2, 0.5 or 500m")
    whole, milli, units, part = match.groups()
    if whole is not None:
        return int(whole) if milli else 1000 * int(whole)
    return 1000 * int(units or 0) + int(part.ljust(3, "0"))
