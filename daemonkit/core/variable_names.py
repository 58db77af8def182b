"""Finds environment variables that look like a program's options, and are none."""

import difflib
from collections.abc import Collection, Iterable

# How alike two names are at least of which one may be meant for the other.
_LIKENESS = 0.7


def unknown(given: Iterable[str], known: Collection[str], prefix: str) -> list[str]:
    """Return a sentence about each variable with the program's prefix that it does not read."""
    start = f"{prefix}_"
    names = sorted(name for name in given if name.startswith(start) and name not in known)
    return [f"the variable {name} is no option: {_hint(name, known, start)}" for name in names]


def _hint(name: str, known: Collection[str], start: str) -> str:
    options = [each.removeprefix(start) for each in known if each.startswith(start)]
    near = difflib.get_close_matches(name.removeprefix(start), options, n=1, cutoff=_LIKENESS)
    return f"do you mean {start}{near[0]}?" if near else "--help names the options"
