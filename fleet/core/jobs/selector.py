"""Label selectors: which of the labelled things are meant.

    selector = conjunction { ("||" | "OR") conjunction }
    conjunction = [ requirement { "," requirement } ], or the same inside `select( )`
    requirement = key ("=" | "==" | "!=" | "<" | ">") value
                | key ("in" | "notin") "(" value { "," value } ")" | key | "!" key

A comma binds tighter than OR. A key that is missing satisfies `!=`, `notin` and `!key`, and
nothing else. `in`, `notin`, `OR` and `select` are ordinary words where a value stands. The empty
selector selects everything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

# A selector is evaluated for each instance of a fleet.
TEXT_MAX = 4096
REQUIREMENTS_MAX = 64
_TOKEN = re.compile(r"\s*(\|\||==|!=|[=<>!,()]|[A-Za-z0-9][A-Za-z0-9_./-]*)", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
Labels = Mapping[str, str]


class SelectorError(ValueError):
    """The text selects nothing we understand; the message says where and why."""


class Test(Enum):
    """What a requirement asks of a label."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    MISSING = "!"
    LESS = "<"
    GREATER = ">"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One condition on one label."""

    key: str
    test_name: str
    values: tuple[str, ...] = ()

    @property
    def test(self) -> Test:
        """What is asked."""
        return Test(self.test_name)

    def holds(self, labels: Labels) -> bool:
        """Say whether the labels satisfy this."""
        value = labels.get(self.key)
        match self.test:
            case Test.IN:
                return value in self.values
            case Test.NOT_IN:
                return value not in self.values
            case Test.EXISTS:
                return value is not None
            case Test.MISSING:
                return value is None
            case Test.LESS | Test.GREATER:
                return value is not None and self._compares(value)
            case _:
                assert_never(self.test)

    def _compares(self, value: str) -> bool:
        try:
            number = int(value)
        except ValueError:
            return False
        bound = int(self.values[0])
        return number < bound if self.test is Test.LESS else number > bound

    def __str__(self) -> str:
        match self.test:
            case Test.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Test.NOT_IN if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case Test.IN | Test.NOT_IN:
                return f"{self.key} {self.test.value} ({','.join(self.values)})"
            case Test.EXISTS:
                return self.key
            case Test.MISSING:
                return f"!{self.key}"
            case Test.LESS | Test.GREATER:
                return f"{self.key}{self.test.value}{self.values[0]}"
            case _:
                assert_never(self.test)


@dataclass(frozen=True, slots=True)
class Selector:
    """Conjunctions, one of which must hold."""

    any_of: tuple[tuple[Requirement, ...], ...]

    def matches(self, labels: Labels) -> bool:
        """Say whether labelled things are meant."""
        return any(all(need.holds(labels) for need in needs) for needs in self.any_of)

    def __str__(self) -> str:
        return " || ".join(",".join(map(str, needs)) for needs in self.any_of)


EVERYTHING = Selector(((),))


def parse(text: str) -> Selector:
    """Read a selector in its canonical form, sorted. Raises SelectorError."""
    if len(text) > TEXT_MAX:
        raise SelectorError(f"the selector has more than {TEXT_MAX} letters")
    return _Reader(text).selector()


def checked_label(key: str, value: str) -> tuple[str, str]:
    """Return a label if it is one. Raises SelectorError."""
    prefix, slash, name = key.rpartition("/")
    if not name or not _VALUE.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise SelectorError(f"{key!r} is no label's name")
    if not _VALUE.fullmatch(value):
        raise SelectorError(f"{value!r} is no label's value: 63 letters, digits, - _ . at most")
    return key, value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._at = 0

    def _split(self, text: str) -> list[tuple[str, int]]:
        found, at = [], 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None:
                raise SelectorError(
                    f"column {at + 1}: {stripped[at : at + 10]!r} is not understood"
                )
            found.append((match[1], match.start(1)))
            at = match.end()
        return found

    def selector(self) -> Selector:
        any_of = [self._conjunction()]
        while self._peek() in ("||", "OR"):
            self._next()
            any_of.append(self._conjunction())
        if self._peek():
            raise self._wrong("an operator or the end")
        if sum(map(len, any_of)) > REQUIREMENTS_MAX:
            raise SelectorError(f"the selector has more than {REQUIREMENTS_MAX} requirements")
        return Selector(tuple(sorted(set(any_of))))

    def _conjunction(self) -> tuple[Requirement, ...]:
        if self._peek() == "select" and self._peek(1) == "(":
            self._at += 2
            needs = self._requirements()
            self._expect(")")
            return needs
        return self._requirements()

    def _requirements(self) -> tuple[Requirement, ...]:
        if self._peek() in ("", ")", "||", "OR"):
            return ()
        needs = {self._requirement()}
        while self._peek() == ",":
            self._next()
            needs.add(self._requirement())
        return tuple(sorted(needs))

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            return Requirement(self._key(), Test.MISSING.value)
        key = self._key()
        match self._peek():
            case "=" | "==":
                self._next()
                return Requirement(key, Test.IN.value, (self._value(),))
            case "!=":
                self._next()
                return Requirement(key, Test.NOT_IN.value, (self._value(),))
            case "<" | ">" as sign:
                self._next()
                return Requirement(key, sign, (self._number(),))
            case "in" | "notin" as word:
                self._next()
                return Requirement(key, word, self._values())
            case _:
                return Requirement(key, Test.EXISTS.value)

    def _key(self) -> str:
        key = self._next()
        try:
            return checked_label(key, "")[0]
        except SelectorError:
            self._at -= 1
            raise self._wrong("a label's name") from None

    def _value(self) -> str:
        if self._peek() in ("", ",", ")", "||"):
            return ""
        value = self._next()
        if not _VALUE.fullmatch(value):
            self._at -= 1
            raise self._wrong("a label's value")
        return value

    def _values(self) -> tuple[str, ...]:
        self._expect("(")
        values = {self._value()}
        while self._peek() == ",":
            self._next()
            values.add(self._value())
        self._expect(")")
        return tuple(sorted(values))

    def _number(self) -> str:
        value = self._next()
        if not value.isdigit():
            self._at -= 1
            raise self._wrong("a number")
        return value

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at][0] if at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise self._wrong(repr(token))
        self._next()

    def _wrong(self, wanted: str) -> SelectorError:
        if self._at < len(self._tokens):
            token, column = self._tokens[self._at]
            return SelectorError(f"column {column + 1}: {token!r} stands where {wanted} should")
        return SelectorError(f"the end of {self._text!r} comes where {wanted} should")
