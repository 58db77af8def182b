"""Patterns with placeholders: `/users/<int:id>/<path:rest>`, `<app>.example.com`.

`<x>` and `<string:x>` match everything up to the next separator, possibly nothing. `<int:x>`
matches digits up to the next separator, possibly none. `<path:x>` matches the whole rest. A
placeholder never gives back what it has matched. So a literal after a placeholder must begin with
the separator; a pattern where it does not could never match and is refused. Names have no
meaning. A `<` without a `>` is a literal.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.linear_regexp import Regexp

_PLACEHOLDER = re.compile(r"<([^>]+)>")


@dataclass(frozen=True, slots=True)
class Exact:
    """A pattern without placeholders."""

    text: bytes

    def matches(self, subject: bytes) -> bool:
        """Whether the pattern matches the whole subject."""
        return subject == self.text

    @property
    def rank(self) -> tuple[int, ...]:
        """Sort key: more specific patterns come first."""
        return (0,)

    @property
    def key(self) -> bytes:
        """Equal for patterns that match the same subjects."""
        return b"=" + self.text


@dataclass(frozen=True, slots=True)
class Placeholders:
    """A pattern with placeholders."""

    regex: re.Pattern[bytes]
    prefix: bytes  # before the first placeholder
    suffix: bytes  # after the last one
    rank: tuple[int, ...]

    def matches(self, subject: bytes) -> bool:
        """Whether the pattern matches the whole subject."""
        return self.regex.fullmatch(subject) is not None

    @property
    def key(self) -> bytes:
        """Equal for patterns that differ only in the names of placeholders."""
        return b"~" + self.regex.pattern


@dataclass(frozen=True, slots=True)
class Prefix:
    """A pattern that matches subjects which begin with a text."""

    text: bytes

    def matches(self, subject: bytes) -> bool:
        """Whether the subject begins with the text."""
        return subject.startswith(self.text)

    @property
    def rank(self) -> tuple[int, ...]:
        """Sort key: more specific patterns come first."""
        return (1, -len(self.text), -len(self.text), 4)

    @property
    def key(self) -> bytes:
        """Equal for patterns that match the same subjects."""
        return b"^" + self.text


@dataclass(frozen=True, slots=True)
class Search:
    """A regular expression that may match anywhere in the subject."""

    regexp: Regexp
    fold: bool = False

    def matches(self, subject: bytes) -> bool:
        """Whether the expression matches somewhere in the subject."""
        return self.regexp.matches(subject)

    @property
    def rank(self) -> tuple[int, ...]:
        """Sort key: more specific patterns come first."""
        return (2, -len(self.regexp.prefix), -len(self.regexp.text))

    @property
    def key(self) -> bytes:
        """Equal for expressions with the same text."""
        return b"/" + self.regexp.text.encode() + (b"i" if self.fold else b"")


Pattern = Exact | Placeholders | Prefix | Search


def compile_pattern(
    text: str, separator: str, literal_bytes: Callable[[str], bytes] = str.encode
) -> Pattern:
    """Compile a pattern whose placeholders end at `separator`. Raises ExpressionError.

    `literal_bytes` writes the text between placeholders as subjects have it.
    """
    if not text:
        raise ExpressionError(
            "an empty pattern matches nothing: write a pattern, or remove the call"
        )
    pieces = _PLACEHOLDER.split(text)
    if len(pieces) == 1:
        return Exact(literal_bytes(text))
    literals, kinds = pieces[::2], [_kind(piece) for piece in pieces[1::2]]
    for kind, name, literal in zip(kinds, pieces[1::2], literals[1:], strict=True):
        _check_reachable(kind, name, literal, separator)
    if "path" in kinds[:-1]:
        raise ExpressionError(
            "nothing can follow a <path:...> placeholder: it matches the whole rest"
        )
    regex = re.escape(literal_bytes(literals[0]))
    for kind, literal in zip(kinds, literals[1:], strict=True):
        regex += _REGEX_OF[kind] % {b"s": re.escape(separator.encode())}
        regex += re.escape(literal_bytes(literal))
    return Placeholders(
        regex=re.compile(regex, re.DOTALL),
        prefix=literal_bytes(literals[0]),
        suffix=literal_bytes(literals[-1]),
        rank=_rank(literals, kinds),
    )


# Possessive quantifiers give nothing back, so the time is linear in the length of the subject.
_REGEX_OF = {
    "string": b"[^%(s)s]*+",
    "int": b"[0-9]*+(?=%(s)s|\\Z)",
    "path": b".*+",
}


def _kind(placeholder: str) -> str:
    kind, colon, name = placeholder.partition(":")
    if not colon:
        return "string"
    if kind not in _REGEX_OF:
        raise ExpressionError(f"<{placeholder}>: unknown type {kind!r}, use string, int or path")
    if ":" in name:
        raise ExpressionError(f"<{placeholder}>: expected <type:name>")
    return kind


def _check_reachable(kind: str, name: str, literal: str, separator: str) -> None:
    if not literal:
        return
    if kind == "path":
        raise ExpressionError(
            f'"{literal}" after <{name}> can never match: <path:...> matches the whole rest'
        )
    if not literal.startswith(separator):
        raise ExpressionError(
            f'"{literal}" after <{name}> can never match: the placeholder matches everything up to '
            f'the next "{separator}"'
        )


def _rank(literals: list[str], kinds: list[str]) -> tuple[int, ...]:
    looseness = sum({"int": 1, "string": 2, "path": 3}[kind] for kind in kinds)
    return (1, -len(literals[0]), -sum(map(len, literals)), looseness)


def rank_of(pattern: Pattern | None) -> tuple[int, ...]:
    """Return the sort key of a pattern, or of no pattern, which comes last."""
    return (3,) if pattern is None else pattern.rank
