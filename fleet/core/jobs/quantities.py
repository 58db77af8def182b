"""Quantities in units: processors, bytes, seconds."""

import re

_BYTES = re.compile(r"(\d+)([KMGT]?)B?", re.ASCII)
_SHIFT = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_CPU = re.compile(r"(\d+)(m?)|(\d*)\.(\d{1,3})", re.ASCII)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)?", re.ASCII)
_UNIT_S = {"ms": 0.001, "": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def millicores(text: str) -> int:
    """Read `2`, `0.5` or `500m` as thousandths of a processor. Raises ValueError."""
    match = _CPU.fullmatch(text)
    if match is None or text == ".":
        raise ValueError(f"{text!r} is not a number of processors: write 2, 0.5 or 500m")
    whole, milli, units, part = match.groups()
    if whole is not None:
        return int(whole) if milli else 1000 * int(whole)
    return 1000 * int(units or 0) + int(part.ljust(3, "0"))


def size_bytes(text: str) -> int:
    """Read `512M` or `2G` (powers of 1024). Raises ValueError."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 512M or 2G")
    return int(match[1]) << _SHIFT[match[2]]


def seconds(text: str) -> float:
    """Read `30s`, `5min`, `1h` or a plain number of seconds. Raises ValueError."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write 30s, 5min or 1h")
    return float(match[1]) * _UNIT_S[match[2] or ""]


def shown_bytes(size: int) -> str:
    """Write bytes as `512M`."""
    for unit in ("T", "G", "M", "K"):
        if size >= 1 << _SHIFT[unit]:
            return f"{size / (1 << _SHIFT[unit]):.3g}{unit}"
    return str(size)
