"""The patterns of Go's path.Match over key names, as confd's templates use them.

`*` and `?` do not match `/`, but a class can; `[^x]` negates; a backslash makes the next
character literal. Python's fnmatch differs in each of these, so patterns are turned into regular
expressions here.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

# A template uses a few patterns; the bound is for patterns that are made from values.
PATTERNS_MAX = 4096
_NOTHING = r"(?!)"
_SPECIAL = re.compile(r"[*?\[\\]")


class BadPattern(ValueError):  # noqa: N818 - Go's name for it
    """The pattern is malformed; the message quotes the pattern and names the place."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; every match starts with `literal`."""

    literal: str
    _regex: re.Pattern[str]

    def matches(self, name: str) -> bool:
        """Return whether the pattern matches the whole of `name`."""
        return self._regex.fullmatch(name) is not None


@lru_cache(maxsize=PATTERNS_MAX)
def compiled(pattern: str) -> Pattern:
    """Compile a pattern, or raise BadPattern."""
    pieces: list[str] = []
    at = 0
    while at < len(pattern):
        piece, at = _piece(pattern, at)
        pieces.append(piece)
    literal = pattern[: found.start()] if (found := _SPECIAL.search(pattern)) else pattern
    return Pattern(literal, re.compile("".join(pieces), re.DOTALL))


def _piece(pattern: str, at: int) -> tuple[str, int]:
    match pattern[at]:
        case "*":
            return "[^/]*", at + 1
        case "?":
            return "[^/]", at + 1
        case "[":
            return _class(pattern, at)
        case "\\":
            if at + 1 == len(pattern):
                raise BadPattern(f"pattern {pattern!r} ends with a single backslash")
            return re.escape(pattern[at + 1]), at + 2
        case character:
            return re.escape(character), at + 1


def _class(pattern: str, start: int) -> tuple[str, int]:
    at = start + 1
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    first = True
    while first or pattern[at : at + 1] != "]":
        first = False
        low, at = _member(pattern, start, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, start, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return ("." if negated else _NOTHING), at + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, start: int, at: int) -> tuple[str, int]:
    escaped = pattern[at : at + 1] == "\\"
    at += escaped
    character = pattern[at : at + 1]
    if not character or (character in "-]" and not escaped):
        raise BadPattern(
            f"pattern {pattern!r}: the class opened at character {start + 1} is not well formed"
        )
    return character, at + 1
