"""Parses Go's text/template: actions between text, and pipelines inside actions."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ACTION = re.compile(
    r"\{\{(?P<left>-(?=\s))?\s*(?P<body>/\*.*?\*/|(?:\"(?:\\.|[^\"\\\n])*\"|`[^`]*`|'(?:\\.|[^'\\\n])*'|(?!\}\}).)*?)"
    r"\s*(?P<right>(?<=\s)-)?\}\}",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:\\.|[^\"\\\n])*\"|`[^`]*`)|(?P<char>'(?:\\.|[^'\\\n])')"
    r"|(?P<number>[-+]?\d[\w.]*)|(?P<name>[A-Za-z_]\w*)|(?P<variable>\$\w*(?:\.\w+)*)"
    r"|(?P<field>\.\w+(?:\.\w+)*)|(?P<mark>:=|[|()=,.]))"
)
# Deeper parentheses than any real template has.
DEPTH_MAX = 50


class NotUnderstood(ValueError):  # noqa: N818 - what the parser did
    """An action is malformed, or uses a part of the language that is not supported here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text, or an action without its braces; `left` and `right`: white space there is trimmed."""

    text: str
    line: int
    is_action: bool = False
    left: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an action and its kind."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or a value, and its arguments."""

    head: "Token | Pipeline"
    arguments: tuple["Token | Pipeline", ...] = ()
    fields: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Calls; each passes its result to the next as the last argument."""

    calls: tuple[Call, ...]
    fields: str = ""


@dataclass(slots=True)
class _TokenReader:
    tokens: list[Token]
    at: int = 0
    depth: int = field(default=0)

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> Token:
        found = self.peek()
        if found is None:
            raise NotUnderstood("the action ends too early")
        self.at += 1
        return found

    def takes(self, mark: str) -> bool:
        found = self.peek()
        if found is None or (found.kind, found.text) != ("mark", mark):
            return False
        self.at += 1
        return True


def pieces(text: str) -> Iterator[Piece]:
    """Split a template into text and actions."""
    at, line = 0, 1
    for found in _ACTION.finditer(text):
        if found.start() > at:
            yield Piece(text[at : found.start()], line)
        line += text.count("\n", at, found.start())
        yield Piece(found["body"], line, True, bool(found["left"]), bool(found["right"]))
        line += found[0].count("\n")
        at = found.end()
    if at < len(text):
        yield Piece(text[at:], line)


def tokens(text: str) -> list[Token]:
    """Split an action into words. Raises NotUnderstood."""
    found: list[Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise NotUnderstood(f"unknown at {text[at:].strip()[:20]!r}")
        # A field directly after a parenthesis belongs to it; after a space it is an argument.
        kind = match.lastgroup
        if kind == "field" and found and found[-1].text == ")" and text[at] == ".":
            kind = "tail"
        found.append(Token(kind, match[match.lastgroup]))
        at = match.end()
    return found


def pipeline(words: list[Token]) -> Pipeline:
    """Read a whole pipeline. Raises NotUnderstood."""
    reader = _TokenReader(words)
    found = _pipeline(reader)
    if reader.peek() is not None:
        raise NotUnderstood(f"unknown at {words[reader.at].text!r}")
    return found


def _pipeline(reader: _TokenReader) -> Pipeline:
    calls = [_call(reader)]
    while reader.takes("|"):
        calls.append(_call(reader))
    return Pipeline(tuple(calls))


def _call(reader: _TokenReader) -> Call:
    operands = [_operand(reader)]
    while (found := reader.peek()) and found.text not in {"|", ")"}:
        operands.append(_operand(reader))
    return Call(operands[0], tuple(operands[1:]))


def _operand(reader: _TokenReader) -> Token | Pipeline:
    if not reader.takes("("):
        found = reader.next()
        if found.kind == "mark" and found.text != ".":
            raise NotUnderstood(f"unknown at {found.text!r}")
        return found
    reader.depth += 1
    if reader.depth > DEPTH_MAX:
        raise NotUnderstood("too many parentheses")
    inner = _pipeline(reader)
    if not reader.takes(")"):
        raise NotUnderstood("a parenthesis is not closed")
    tail = reader.peek()
    if tail is not None and tail.kind == "tail":
        reader.at += 1
        return Pipeline(inner.calls, tail.text)
    return inner


def unquoted(text: str) -> str:
    """Return the value of a Go string literal. Raises NotUnderstood."""
    if text.startswith("`"):
        return text[1:-1]
    body = re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", text)
    body = body.replace("\\a", "\\u0007").replace("\\v", "\\u000b").replace("\\'", "'")
    try:
        return str(json.loads(body, strict=False))
    except ValueError:
        raise NotUnderstood("a string with an unknown escape") from None
