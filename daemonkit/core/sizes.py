"""Sizes in bytes as people write them: `512M`, `2G`, `64KB`. The units are powers of 1024."""

import re

_SHIFT = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)B?", re.ASCII)


def parse(text: str) -> int:
    """Return a size in bytes. Raises ValueError, which quotes the text and shows the right form."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a size: write it like "512M" or "2G"')
    return int(match[1]) << _SHIFT[match[2]]


def show(size_bytes: int) -> str:
    """Return a size with the largest unit that fits, to three digits: `512M`, `1.5G`."""
    for unit in ("T", "G", "M", "K"):
        if size_bytes >= 1 << _SHIFT[unit]:
            return f"{size_bytes / (1 << _SHIFT[unit]):.3g}{unit}"
    return str(size_bytes)
