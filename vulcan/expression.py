"""The route language: calls joined by `&&`, in Go's expression syntax.

    expression = term { "&&" term }
    term       = call | "(" expression ")"
    call       = NAME "(" [ STRING { "," STRING } ] ")"
    STRING     = `raw` | "with Go's escapes"

Go's other operators are known to the lexer only so that an error can name them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

# Longer expressions than any we met; nesting is bounded so that parsing cannot exhaust the stack.
EXPRESSION_CHARS_MAX = 8192
NESTING_MAX = 50


class RouteError(ValueError):
    """An expression that cannot be used; the message says what and at which character."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, `Host("a.example")`; `at` is the character it begins at, from 1."""

    name: str
    arguments: tuple[str, ...]
    at: int


def parse(text: str) -> tuple[Call, ...]:
    """Return the calls of an expression, all of which must hold. Raises RouteError."""
    if len(text) > EXPRESSION_CHARS_MAX:
        raise RouteError(f"longer than {EXPRESSION_CHARS_MAX} characters")
    return _Parser(text).parse()


class _Kind(Enum):
    NAME = auto()
    STRING = auto()
    AND = auto()
    OPEN = auto()
    CLOSE = auto()
    COMMA = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind is _Kind.END else repr(self.text)


class _Parser:
    """Recursive descent with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._calls: list[Call] = []

    def parse(self) -> tuple[Call, ...]:
        if self._next.kind is _Kind.END:
            raise RouteError('empty: write for example Host("www.example.com")')
        self._expression(0)
        self._take(_Kind.END, "&& or the end")
        return tuple(self._calls)

    def _expression(self, depth: int) -> None:
        if depth > NESTING_MAX:
            raise RouteError(f"more than {NESTING_MAX} nested parentheses")
        self._term(depth)
        while self._next.kind is _Kind.AND:
            self._take(_Kind.AND, "&&")
            self._term(depth)

    def _term(self, depth: int) -> None:
        if self._next.kind is _Kind.OPEN:
            self._take(_Kind.OPEN, "(")
            self._expression(depth + 1)
            self._take(_Kind.CLOSE, ")")
            return
        name = self._take(_Kind.NAME, 'a call such as Path("/a")')
        self._take(_Kind.OPEN, f"( after {name.text}")
        self._calls.append(Call(name.text, self._arguments(), name.at))

    def _arguments(self) -> tuple[str, ...]:
        found: list[str] = []
        while self._next.kind is not _Kind.CLOSE:
            if found:
                self._take(_Kind.COMMA, ", or )")
            found.append(self._take(_Kind.STRING, "a quoted string").text)
        self._take(_Kind.CLOSE, ")")
        return tuple(found)

    def _take(self, kind: _Kind, expected: str) -> _Token:
        token = self._next
        if token.kind is not kind:
            raise RouteError(f"expected {expected} at character {token.at}, found {token}")
        if kind is not _Kind.END:
            self._next = next(self._tokens)
        return token


_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r"[^\W\d]\w*")
_RAW = re.compile(r"`([^`]*)`")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\[^\n])*)"')
_OPERATOR = re.compile(r"\|\||==|!=|<=|>=|[!<>|&+*/%^.\-]")
_SIGNS = {"&&": _Kind.AND, "(": _Kind.OPEN, ")": _Kind.CLOSE, ",": _Kind.COMMA}


def _tokens(text: str) -> Iterator[_Token]:
    at = _skip_space(text, 0)
    while at < len(text):
        token, at = _token(text, at)
        yield token
        at = _skip_space(text, at)
    yield _Token(_Kind.END, "", at + 1)


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _token(text: str, at: int) -> tuple[_Token, int]:
    for sign, kind in _SIGNS.items():
        if text.startswith(sign, at):
            return _Token(kind, sign, at + 1), at + len(sign)
    if name := _NAME.match(text, at):
        return _Token(_Kind.NAME, name[0], at + 1), name.end()
    if raw := _RAW.match(text, at):
        # Go drops carriage returns from raw strings.
        return _Token(_Kind.STRING, raw[1].replace("\r", ""), at + 1), raw.end()
    if quoted := _QUOTED.match(text, at):
        return _Token(_Kind.STRING, _unquote(quoted[1], at), at + 1), quoted.end()
    raise RouteError(_complaint(text, at))


def _complaint(text: str, at: int) -> str:
    place = f"at character {at + 1}"
    if text[at] in '"`':
        return f"the string that opens {place} does not end"
    if text[at] == "'":
        return f'a single quote {place}: quote strings with " or `'
    if operator := _OPERATOR.match(text, at):
        return f"the operator {operator[0]} {place} is not supported: calls are joined by && only"
    return f"{text[at]!r} {place} does not belong in a route"


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
    """Undo the escapes of a Go string literal; `\\xNN` and octal ones are bytes of UTF-8."""
    out, done = bytearray(), 0
    for escape in _ESCAPE.finditer(body):
        out += body[done : escape.start()].encode() + _unescape(escape, at)
        done = escape.end()
    out += body[done:].encode()
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise RouteError(f"the string at character {at + 1} is not UTF-8") from None


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
    raise RouteError(f"{escape[0]} at character {where} is not an escape of a Go string")
