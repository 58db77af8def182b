"""The expression language of routes, failover predicates and breaker conditions: Go's syntax.

    expression = conjunction { "||" conjunction }
    conjunction = term { "&&" term }
    term       = "!" term | "(" expression ")" | call [ COMPARISON literal ]
    call       = NAME "(" [ literal { "," literal } ] ")"
    literal    = `raw` | "with Go's escapes" | INTEGER | FLOAT

Each of the three languages refuses calls that it does not know. The lexer knows Go's other
operators only so that an error can name them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

# Real expressions are much shorter. Nesting is bounded so that parsing cannot exhaust the stack.
EXPRESSION_CHARS_MAX = 8192
NESTING_MAX = 50

Literal = str | int | float


class ExpressionError(ValueError):
    """An invalid expression; the message names the reason and the character."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, such as `Host("a.example")`; `at` is its first character, counted from 1."""

    name: str
    arguments: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison, such as `Attempts() <= 2`; `at` is the position of the operator."""

    call: Call
    operator: str
    literal: Literal
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """A negation; `at` is its position."""

    term: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class AllOf:
    """Terms joined by `&&`."""

    terms: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Terms joined by `||`."""

    terms: tuple["Node", ...]


Node = Call | Compare | Not | AllOf | AnyOf


def parse(text: str, *, example: str = 'Host("www.example.com")') -> Node:
    """Return the tree of an expression. Raises ExpressionError."""
    if len(text) > EXPRESSION_CHARS_MAX:
        raise ExpressionError(f"longer than {EXPRESSION_CHARS_MAX} characters")
    return _ExpressionParser(text).parse(example)


class _TokenKind(Enum):
    NAME = auto()
    LITERAL = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    COMPARISON = auto()
    OPEN = auto()
    CLOSE = auto()
    COMMA = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _TokenKind
    text: str
    at: int
    value: Literal = ""

    def __str__(self) -> str:
        return "the end" if self.kind is _TokenKind.END else repr(self.text)


class _ExpressionParser:
    """A recursive descent parser with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def parse(self, example: str) -> Node:
        if self._next.kind is _TokenKind.END:
            raise ExpressionError(f"empty: write for example {example}")
        node = self._expression(0)
        self._take(_TokenKind.END, "&&, || or the end")
        return node

    def _expression(self, depth: int) -> Node:
        if depth > NESTING_MAX:
            raise ExpressionError(f"more than {NESTING_MAX} nested parentheses")
        terms = [self._conjunction(depth)]
        while self._next.kind is _TokenKind.OR:
            self._take(_TokenKind.OR, "||")
            terms.append(self._conjunction(depth))
        return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))

    def _conjunction(self, depth: int) -> Node:
        terms = [self._term(depth)]
        while self._next.kind is _TokenKind.AND:
            self._take(_TokenKind.AND, "&&")
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else AllOf(tuple(terms))

    def _term(self, depth: int) -> Node:
        if depth > NESTING_MAX:
            raise ExpressionError(f"more than {NESTING_MAX} nested parentheses")
        if self._next.kind is _TokenKind.NOT:
            at = self._take(_TokenKind.NOT, "!").at
            return Not(self._term(depth + 1), at)
        if self._next.kind is _TokenKind.OPEN:
            self._take(_TokenKind.OPEN, "(")
            inner = self._expression(depth + 1)
            self._take(_TokenKind.CLOSE, ")")
            return inner
        name = self._take(_TokenKind.NAME, 'a call such as Path("/a")')
        self._take(_TokenKind.OPEN, f"( after {name.text}")
        call = Call(name.text, self._arguments(), name.at)
        if self._next.kind is not _TokenKind.COMPARISON:
            return call
        operator = self._take(_TokenKind.COMPARISON, "a comparison")
        literal = self._take(_TokenKind.LITERAL, f"a number or a string after {operator.text}")
        return Compare(call, operator.text, literal.value, operator.at)

    def _arguments(self) -> tuple[Literal, ...]:
        found: list[Literal] = []
        while self._next.kind is not _TokenKind.CLOSE:
            if found:
                self._take(_TokenKind.COMMA, ", or )")
            found.append(self._take(_TokenKind.LITERAL, "a quoted string or a number").value)
        self._take(_TokenKind.CLOSE, ")")
        return tuple(found)

    def _take(self, kind: _TokenKind, expected: str) -> _Token:
        token = self._next
        if token.kind is not kind:
            raise ExpressionError(f"expected {expected} at character {token.at}, found {token}")
        if kind is not _TokenKind.END:
            self._next = next(self._tokens)
        return token


_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r"[^\W\d]\w*")
_RAW = re.compile(r"`([^`]*)`")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\[^\n])*)"')
_NUMBER = re.compile(r"([0-9]{1,18}\.[0-9]{0,18})|([0-9]{1,18})")
_OPERATOR = re.compile(r"[<>|&+*/%^.\-=]")
_SIGNS = {
    "&&": _TokenKind.AND,
    "||": _TokenKind.OR,
    "==": _TokenKind.COMPARISON,
    "!=": _TokenKind.COMPARISON,
    "<=": _TokenKind.COMPARISON,
    ">=": _TokenKind.COMPARISON,
    "<": _TokenKind.COMPARISON,
    ">": _TokenKind.COMPARISON,
    "!": _TokenKind.NOT,
    "(": _TokenKind.OPEN,
    ")": _TokenKind.CLOSE,
    ",": _TokenKind.COMMA,
}


def _tokens(text: str) -> Iterator[_Token]:
    at = _skip_space(text, 0)
    while at < len(text):
        token, at = _token(text, at)
        yield token
        at = _skip_space(text, at)
    yield _Token(_TokenKind.END, "", at + 1)


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _token(text: str, at: int) -> tuple[_Token, int]:
    for sign, kind in _SIGNS.items():
        if text.startswith(sign, at):
            return _Token(kind, sign, at + 1), at + len(sign)
    if name := _NAME.match(text, at):
        return _Token(_TokenKind.NAME, name[0], at + 1), name.end()
    if raw := _RAW.match(text, at):
        # Go drops carriage returns from raw strings.
        value = raw[1].replace("\r", "")
        return _Token(_TokenKind.LITERAL, value, at + 1, value), raw.end()
    if quoted := _QUOTED.match(text, at):
        value = _unquote(quoted[1], at)
        return _Token(_TokenKind.LITERAL, value, at + 1, value), quoted.end()
    if number := _NUMBER.match(text, at):
        parsed = float(number[1]) if number[1] else int(number[2])
        return _Token(_TokenKind.LITERAL, number[0], at + 1, parsed), number.end()
    raise ExpressionError(_error_text(text, at))


def _error_text(text: str, at: int) -> str:
    place = f"at character {at + 1}"
    if text[at] in '"`':
        return f"the string that begins {place} has no end"
    if text[at] == "'":
        return f'a single quote {place}: quote strings with " or `'
    if operator := _OPERATOR.match(text, at):
        return f"the operator {operator[0]} {place} is not supported: use &&, || or !"
    return f"{text[at]!r} {place} is not allowed in an expression"


_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|([0-7]{3})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))"
)
_ESCAPED = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    '"': b'"',
}


def _unquote(body: str, at: int) -> str:
    """Undo the escapes of a Go string; `\\xNN` and octal escapes are bytes of UTF-8."""
    out, done = bytearray(), 0
    for escape in _ESCAPE.finditer(body):
        out += body[done : escape.start()].encode() + _unescape(escape, at)
        done = escape.end()
    out += body[done:].encode()
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise ExpressionError(f"the string at character {at + 1} is not UTF-8") from None


def _unescape(escape: re.Match[str], at: int) -> bytes:
    letter, octal, pair, short, long, _ = escape.groups()
    try:
        if letter:
            return _ESCAPED[letter]
        if octal:
            return bytes([int(octal, 8)])
        if pair:
            return bytes.fromhex(pair)
        if short or long:
            return chr(int(short or long, 16)).encode()
    except (ValueError, OverflowError):
        pass  # beyond a byte, beyond Unicode, or half a surrogate pair
    where = at + 2 + escape.start()
    raise ExpressionError(f"{escape[0]} at character {where} is not a valid escape in a Go string")
