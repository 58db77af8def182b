"""Label selectors: they choose things by their labels.

    selector = conjunction { ("||" | "OR") conjunction }
    conjunction = [ requirement { "," requirement } ], or the same inside `select( )`
    requirement = key ("=" | "==" | "!=" | "<" | ">") value
                | key ("in" | "notin") "(" value { "," value } ")" | key | "!" key

A comma binds tighter than OR. A missing key satisfies `!=`, `notin` and `!key`, and no other
requirement. `in`, `notin`, `OR` and `select` are ordinary words where a value is expected. The
empty selector matches everything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

# Bounds, because a selector is evaluated for every host and every job.
TEXT_MAX = 4096
REQUIREMENTS_MAX = 64
_TOKEN = re.compile(r"\s*(\|\||==|!=|[=<>!,()]|[A-Za-z0-9][A-Za-z0-9_./-]*)", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
Labels = Mapping[str, str]


class SelectorError(ValueError):
    """The text is not a selector. The message says where and why."""


class Operator(Enum):
    """How a requirement compares a label."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    LESS = "<"
    GREATER = ">"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator_name: str
    values: tuple[str, ...] = ()

    @property
    def operator(self) -> Operator:
        """How the label is compared."""
        return Operator(self.operator_name)

    def holds(self, labels: Labels) -> bool:
        """Return whether the labels satisfy this requirement."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.LESS | Operator.GREATER:
                return value is not None and self._compares(value)
            case _:
                assert_never(self.operator)

    def _compares(self, value: str) -> bool:
        try:
            number = int(value)
        except ValueError:
            return False
        bound = int(self.values[0])
        return number < bound if self.operator is Operator.LESS else number > bound

    def __str__(self) -> str:
        match self.operator:
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Operator.NOT_IN if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator.value} ({','.join(self.values)})"
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.LESS | Operator.GREATER:
                return f"{self.key}{self.operator.value}{self.values[0]}"
            case _:
                assert_never(self.operator)


@dataclass(frozen=True, slots=True)
class Selector:
    """A list of conjunctions. A thing matches if one of them holds."""

    any_of: tuple[tuple[Requirement, ...], ...]

    def matches(self, labels: Labels) -> bool:
        """Return whether a thing with these labels matches."""
        return any(all(each.holds(labels) for each in conjunction) for conjunction in self.any_of)

    def __str__(self) -> str:
        return " || ".join(",".join(map(str, conjunction)) for conjunction in self.any_of)


EVERYTHING = Selector(((),))


def parse(text: str) -> Selector:
    """Parse a selector into its canonical, sorted form. Raises SelectorError."""
    if len(text) > TEXT_MAX:
        raise SelectorError(f"the selector is longer than {TEXT_MAX} characters")
    return _SelectorParser(text).selector()


def checked_label(key: str, value: str) -> tuple[str, str]:
    """Return a label if it is valid. Raises SelectorError."""
    prefix, slash, name = key.rpartition("/")
    if not name or not _VALUE.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise SelectorError(f"{key!r} is not a label key")
    if not _VALUE.fullmatch(value):
        raise SelectorError(
            f"{value!r} is not a label value: use at most 63 letters, digits and - _ ."
        )
    return key, value


class _SelectorParser:
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
                    f"column {at + 1}: {stripped[at : at + 10]!r} is not valid in a selector"
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
            raise self._error("an operator or the end")
        if sum(map(len, any_of)) > REQUIREMENTS_MAX:
            raise SelectorError(f"the selector has more than {REQUIREMENTS_MAX} requirements")
        return Selector(tuple(sorted(set(any_of))))

    def _conjunction(self) -> tuple[Requirement, ...]:
        if self._peek() == "select" and self._peek(1) == "(":
            self._at += 2
            requirements = self._requirements()
            self._expect(")")
            return requirements
        return self._requirements()

    def _requirements(self) -> tuple[Requirement, ...]:
        if self._peek() in ("", ")", "||", "OR"):
            return ()
        found = {self._requirement()}
        while self._peek() == ",":
            self._next()
            found.add(self._requirement())
        return tuple(sorted(found))

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            return Requirement(self._key(), Operator.DOES_NOT_EXIST.value)
        key = self._key()
        match self._peek():
            case "=" | "==":
                self._next()
                return Requirement(key, Operator.IN.value, (self._value(),))
            case "!=":
                self._next()
                return Requirement(key, Operator.NOT_IN.value, (self._value(),))
            case "<" | ">" as sign:
                self._next()
                return Requirement(key, sign, (self._number(),))
            case "in" | "notin" as word:
                self._next()
                return Requirement(key, word, self._values())
            case _:
                return Requirement(key, Operator.EXISTS.value)

    def _key(self) -> str:
        key = self._next()
        try:
            return checked_label(key, "")[0]
        except SelectorError:
            self._at -= 1
            raise self._error("a label key") from None

    def _value(self) -> str:
        if self._peek() in ("", ",", ")", "||"):
            return ""
        value = self._next()
        if not _VALUE.fullmatch(value):
            self._at -= 1
            raise self._error("a label value")
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
        if not (value.isascii() and value.isdecimal()):
            self._at -= 1
            raise self._error("a number")
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
            raise self._error(repr(token))
        self._next()

    def _error(self, wanted: str) -> SelectorError:
        if self._at < len(self._tokens):
            token, column = self._tokens[self._at]
            return SelectorError(f"column {column + 1}: expected {wanted}, found {token!r}")
        return SelectorError(f"expected {wanted} at the end of {self._text!r}")
