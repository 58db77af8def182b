"""Patterns of keys in roles.

`/a/b` is one key. A `*` at the end is any rest of a key, also with slashes, as in etcd. Any other
`*` is any part of one segment: `/a/*/c`, `/a/x-*/c`. `{host}` and other names in braces are
attributes of the caller; a pattern with one that the caller lacks matches nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

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


class KeyPatterns:
    """Several patterns, for one caller with its attributes.

    A large fleet has thousands of callers, so what takes time or memory is made when it is needed:
    most patterns are a key or a beginning, and need no expression.
    """

    def __init__(self, texts: Iterable[str], attributes: Mapping[str, str]) -> None:
        self.texts = tuple(texts)
        self.attributes = attributes
        exact, beginnings, wild = set[bytes](), list[bytes](), list[str]()
        for text in self.texts:
            if not _is_usable(text, attributes):
                continue
            filled = _PLACE.sub(lambda place: attributes[place[1]], text).encode()
            if "*" not in text:
                exact.add(filled)
            elif "*" not in text[:-1]:
                beginnings.append(filled[:-1])
            else:
                wild.append(text)
        self._exact = frozenset(exact)
        self._beginnings = tuple(beginnings)
        self._wild = tuple(wild)

    def matches(self, key: bytes) -> bool:
        """Whether one of them is a pattern of this key."""
        if key in self._exact or key.startswith(self._beginnings):
            return True
        return bool(self._wild) and self._keys.fullmatch(key) is not None

    def covers(self, directory: bytes) -> bool:
        """Whether one of them is a pattern of every key below a directory."""
        inside = _inside(directory)
        if inside.startswith(self._beginnings):
            return True
        return bool(self._wild) and self._covered.match(inside) is not None

    def reaches(self, directory: bytes) -> bool:
        """Whether one of them is a pattern of some key that may be below a directory."""
        if directory in self._ways or self.covers(directory):
            return True
        return bool(self._wild) and self._above.fullmatch(_inside(directory)) is not None

    def pattern_of(self, key: bytes) -> str:
        """Return the first pattern of a key, an empty string if there is none."""
        each = (text for text in self.texts if KeyPatterns([text], self.attributes).matches(key))
        return next(each, "")

    @cached_property
    def _ways(self) -> frozenset[bytes]:
        """The directories above the keys and the beginnings."""
        places = (*self._exact, *self._beginnings)
        return frozenset(directory for place in places for directory in _directories(place))

    @cached_property
    def _keys(self) -> re.Pattern[bytes]:
        return _alternatives(
            "/".join(self._segments(text)) + ".*" * text.endswith("*") for text in self._wild
        )

    @cached_property
    def _covered(self) -> re.Pattern[bytes]:
        return _alternatives(
            "/".join(self._segments(text)) for text in self._wild if text.endswith("*")
        )

    @cached_property
    def _above(self) -> re.Pattern[bytes]:
        return _alternatives(_nested(self._segments(text)[:-1]) for text in self._wild)

    def _segments(self, text: str) -> list[str]:
        """Return an expression for each segment; the last one without a final star."""
        open_ended = text.endswith("*")
        segments = (text[:-1] if open_ended else text).split("/")
        last = len(segments) - 1
        return [
            _segment(segment, self.attributes, open_ended=open_ended and at == last)
            for at, segment in enumerate(segments)
        ]


def _is_usable(text: str, attributes: Mapping[str, str]) -> bool:
    """Whether a pattern matches anything: every key begins with a slash."""
    if not text.startswith("/") and text != "*":
        return False
    return all(attributes.get(name) for name in _PLACE.findall(text)) and not problem(text)


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


def _alternatives(expressions: Iterable[str]) -> re.Pattern[bytes]:
    """Return an expression that matches as one of these; without any it matches nothing."""
    either = "|".join(f"(?:{expression})" for expression in expressions)
    return re.compile((either or "(?!)").encode(), re.DOTALL)


def _directories(place: bytes) -> Iterator[bytes]:
    """Yield the directories above a key, or on the way to a beginning."""
    if place.startswith(b"/"):
        yield ROOT_KEY
    end = place.find(b"/", 1)
    while end != -1:
        yield place[:end]
        end = place.find(b"/", end + 1)


def _inside(directory: bytes) -> bytes:
    return directory if directory == ROOT_KEY else directory + b"/"
