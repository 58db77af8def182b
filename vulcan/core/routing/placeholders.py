"""Patterns with placeholders: `/users/<int:id>/<path:rest>`, `<app>.example.com`.

`<x>` and `<string:x>` take everything up to the next separator, possibly nothing; `<int:x>`
takes digits up to the next separator, possibly none; `<path:x>` takes all the rest. None
gives anything back: what a literal after a placeholder needs must begin at a separator, and
a pattern where it does not is refused, for it could never match. Names have no meaning. A
`<` that nothing closes is a literal.
"""

import re
from dataclasses import dataclass

from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.linear_regexp import Regexp

_PLACEHOLDER = re.compile(r"<([^>]+)>")


@dataclass(frozen=True, slots=True)
class Exact:
    """Equality with one text."""

    text: bytes

    def matches(self, subject: bytes) -> bool:
        """Whether the pattern takes the whole subject."""
        return subject == self.text

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorts more specific patterns of one subject first."""
        return (0,)

    @property
    def key(self) -> bytes:
        """Equal for patterns that take the same subjects."""
        return b"=" + self.text


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Literals with placeholders between them."""

    regex: re.Pattern[bytes]
    prefix: bytes  # before the first placeholder
    suffix: bytes  # after the last one
    rank: tuple[int, ...]

    def matches(self, subject: bytes) -> bool:
        """Whether the pattern takes the whole subject."""
        return self.regex.fullmatch(subject) is not None

    @property
    def key(self) -> bytes:
        """Equal for patterns that take the same subjects, whatever their names."""
        return b"~" + self.regex.pattern


@dataclass(frozen=True, slots=True)
class Prefix:
    """A text that subjects begin with."""

    text: bytes

    def matches(self, subject: bytes) -> bool:
        """Whether the subject begins with the text."""
        return subject.startswith(self.text)

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorts more specific patterns of one subject first."""
        return (1, -len(self.text), -len(self.text), 4)

    @property
    def key(self) -> bytes:
        """Equal for patterns that take the same subjects."""
        return b"^" + self.text


@dataclass(frozen=True, slots=True)
class Search:
    """A regular expression, found anywhere in the subject."""

    regexp: Regexp
    fold: bool = False

    def matches(self, subject: bytes) -> bool:
        """Whether the expression is found."""
        return self.regexp.matches(subject)

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorts more specific patterns of one subject first."""
        return (2, -len(self.regexp.prefix), -len(self.regexp.text))

    @property
    def key(self) -> bytes:
        """Equal for patterns that take the same subjects as written."""
        return b"/" + self.regexp.text.encode() + (b"i" if self.fold else b"")


Pattern = Exact | Placeholders | Prefix | Search


def compile_pattern(text: str, separator: str) -> Pattern:
    """Compile a pattern whose placeholders stop at `separator`. Raises ExpressionError."""
    if not text:
        raise ExpressionError("an empty pattern matches nothing: remove it or write one")
    pieces = _PLACEHOLDER.split(text)
    if len(pieces) == 1:
        return Exact(text.encode())
    literals, kinds = pieces[::2], [_kind(piece) for piece in pieces[1::2]]
    for kind, name, literal in zip(kinds, pieces[1::2], literals[1:], strict=True):
        _check_reachable(kind, name, literal, separator)
    if "path" in kinds[:-1]:
        raise ExpressionError("nothing can follow a <path:...> placeholder: it takes all the rest")
    regex = re.escape(literals[0].encode())
    for kind, literal in zip(kinds, literals[1:], strict=True):
        regex += _TAKES[kind] % {b"s": re.escape(separator.encode())}
        regex += re.escape(literal.encode())
    return Placeholders(
        regex=re.compile(regex, re.DOTALL),
        prefix=literals[0].encode(),
        suffix=literals[-1].encode(),
        rank=_rank(literals, kinds),
    )


# Possessive: what was taken is never given back, so matching is linear in the subject.
_TAKES = {
    "string": b"[^%(s)s]*+",
    "int": b"[0-9]*+(?=%(s)s|\\Z)",
    "path": b".*+",
}


def _kind(placeholder: str) -> str:
    kind, colon, name = placeholder.partition(":")
    if not colon:
        return "string"
    if kind not in _TAKES:
        raise ExpressionError(f"<{placeholder}>: unknown type {kind!r}, use string, int or path")
    if ":" in name:
        raise ExpressionError(f"<{placeholder}>: expected <type:name>")
    return kind


def _check_reachable(kind: str, name: str, literal: str, separator: str) -> None:
    if not literal:
        return
    if kind == "path":
        raise ExpressionError(f'"{literal}" after <{name}> can never match: it takes all the rest')
    if not literal.startswith(separator):
        raise ExpressionError(
            f'"{literal}" after <{name}> can never match: the placeholder takes everything up to '
            f'the next "{separator}"'
        )


def _rank(literals: list[str], kinds: list[str]) -> tuple[int, ...]:
    looseness = sum({"int": 1, "string": 2, "path": 3}[kind] for kind in kinds)
    return (1, -len(literals[0]), -sum(map(len, literals)), looseness)


def rank_of(pattern: Pattern | None) -> tuple[int, ...]:
    """Return the sort key of a condition that may be absent, absent last."""
    return (3,) if pattern is None else pattern.rank
