"""Patterns of keys in roles.

`/a/b` is one key. A `*` at the end is any rest of a key, also with slashes, as in etcd. Any other
`*` is any part of one segment: `/a/*/c`, `/a/x-*/c`. `{host}` and other names in braces are
attributes of the caller; a pattern with one that the caller lacks matches nothing.
"""

import re
from collections.abc import Iterable, Mapping

from coordinator.core.store.node import ROOT_KEY

PATTERN_CHARS_MAX = 1024
# A regular expression nests as deep.
PATTERN_SEGMENTS_MAX = 64
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# Attributes of any length: a `*` right behind one would match the keys of others.
_OPEN_ENDED = ("{host}*", "{user}*")


def problem(pattern: str) -> str:
    """Say why this is no pattern; an empty string if it is one."""
    if len(pattern) > PATTERN_CHARS_MAX or pattern.count("/") > PATTERN_SEGMENTS_MAX:
        return (
            f"a pattern of {len(pattern)} characters in {pattern.count('/')} segments: at most "
            f"{PATTERN_CHARS_MAX} and {PATTERN_SEGMENTS_MAX} are allowed"
        )
    literal = _PLACE.sub("", pattern)
    if "{" in literal or "}" in literal:
        return f"pattern {pattern!a} has a brace without a name: write {{host}}"
    for bad in _OPEN_ENDED:
        if bad in pattern:
            return f"pattern {pattern!a}: {bad} would match other names too: write {bad[:-1]}/*"
    return ""


class KeyPattern:
    """One pattern, for one caller."""

    __slots__ = ("_above", "_below", "_key", "text")

    def __init__(self, text: str, segments: list[str], *, open_ended: bool) -> None:
        """`segments` are expressions; `open_ended`: any rest may follow the last one."""
        self.text = text  # as it is in the role
        whole = "/".join(segments)
        self._below = _compiled(whole) if open_ended else None
        self._key = _compiled(whole + ".*" * open_ended)
        *directories, _ = segments
        self._above = _compiled(_nested(directories))

    def matches(self, key: bytes) -> bool:
        """Whether it is a pattern of this key."""
        return self._key.fullmatch(key) is not None

    def covers(self, directory: bytes) -> bool:
        """Whether it is a pattern of every key below a directory."""
        return self._below is not None and self._below.match(_inside(directory)) is not None

    def reaches(self, directory: bytes) -> bool:
        """Whether it is a pattern of some key that may be below a directory."""
        return self._above.fullmatch(_inside(directory)) is not None or self.covers(directory)


class KeyPatterns:
    """Several patterns, for one caller."""

    def __init__(self, texts: Iterable[str], attributes: Mapping[str, str]) -> None:
        self.texts = tuple(texts)
        found = (compile_pattern(text, attributes) for text in self.texts)
        self.patterns = tuple(each for each in found if each is not None)

    def match(self, key: bytes) -> KeyPattern | None:
        """Return the first pattern of a key."""
        return next((each for each in self.patterns if each.matches(key)), None)

    def covers(self, directory: bytes) -> bool:
        """Whether every key below a directory has one of the patterns, by one of them alone."""
        return any(each.covers(directory) for each in self.patterns)

    def reaches(self, directory: bytes) -> bool:
        """Whether some key that may be below a directory has one of the patterns."""
        return any(each.reaches(directory) for each in self.patterns)


def compile_pattern(text: str, attributes: Mapping[str, str]) -> KeyPattern | None:
    """Return a pattern for a caller with these attributes, None if it matches nothing."""
    if any(not attributes.get(name) for name in _PLACE.findall(text)) or problem(text):
        return None
    open_ended = text.endswith("*")
    segments = (text[:-1] if open_ended else text).split("/")
    if segments[0] or (len(segments) == 1 and not open_ended):
        return None  # every key begins with a slash
    last = len(segments) - 1
    expressions = [
        _segment(segment, attributes, open_ended=open_ended and at == last)
        for at, segment in enumerate(segments)
    ]
    return KeyPattern(text, expressions, open_ended=open_ended)


def _segment(segment: str, attributes: Mapping[str, str], *, open_ended: bool) -> str:
    first, *parts = [_literal(part, attributes) for part in segment.split("*")]
    if not parts:
        return first
    # The first place of each part is the best one, so no other is tried: the time is linear.
    *between, last = parts
    if open_ended:
        between, last = parts, ""
    found = "".join(f"(?>[^/]*?{part})" for part in between)
    return first + found + ("" if open_ended else f"[^/]*{last}")


def _literal(part: str, attributes: Mapping[str, str]) -> str:
    return re.escape(_PLACE.sub(lambda place: attributes[place[1]], part))


def _nested(directories: list[str]) -> str:
    """Return the expression of a directory, with its final slash, that has these or less."""
    expression = ""
    for segment in reversed(directories):
        expression = f"(?:{segment}/{expression})?"
    return expression


def _compiled(expression: str) -> re.Pattern[bytes]:
    return re.compile(expression.encode(), re.DOTALL)


def _inside(directory: bytes) -> bytes:
    return directory if directory == ROOT_KEY else directory + b"/"
