"""RE2's syntax, parsed to a tree of bytes, anchors, sequences, choices and repetitions."""

import re
from dataclasses import dataclass

from vulcan.core.routing.expression import ExpressionError

REPEAT_MAX = 1000
NESTING_MAX = 50

# Sets of bytes, as bit masks.
_ALL = (1 << 256) - 1
_LINE = _ALL & ~(1 << 10)


def _mask(text: bytes) -> int:
    return sum(1 << byte for byte in set(text))


_DIGIT = _mask(b"0123456789")
_LOWER = _mask(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = _LOWER >> 32
_WORD = _DIGIT | _LOWER | _UPPER | _mask(b"_")
_BLANK = _mask(b"\t\n\f\r ")
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _BLANK}
_POSIX = {
    "alpha": _LOWER | _UPPER,
    "digit": _DIGIT,
    "alnum": _LOWER | _UPPER | _DIGIT,
    "lower": _LOWER,
    "upper": _UPPER,
    "space": _BLANK | _mask(b"\v"),
    "word": _WORD,
    "xdigit": _DIGIT | _mask(b"abcdefABCDEF"),
    "punct": _mask(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
}
_ESCAPES = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


# The leaves of a tree: one byte out of a mask, the start or the end of the subject.
BYTE, BEGIN, END = range(3)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One byte, or an anchor."""

    kind: int
    mask: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """Parts, one after the other."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Parts, one of which matches."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part that matches several times; without `most`, any number of times.

    A `lazy` one prefers fewer times. That changes what a group matches, not whether all match.
    """

    part: "Tree"
    least: int
    most: int | None
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A part whose match is remembered."""

    part: "Tree"
    number: int
    name: str


Tree = Leaf | Series | Choice | Repeat | Group


def parse_regexp(text: str, *, fold: bool = False) -> Tree:
    """Parse an expression; `fold` ignores case. Raises ExpressionError."""
    return _RegexpParser(text, fold=fold).parse()


class _RegexpParser:
    """A recursive descent parser for RE2's syntax."""

    def __init__(self, text: str, *, fold: bool) -> None:
        self._text = text
        self._at = 0
        self._fold = fold
        self._dot = _LINE
        self._groups = 0

    def parse(self) -> Tree:
        tree = self._choice(0)
        if self._at < len(self._text):
            raise self._error("a ) without its (")
        return tree

    def _error(self, what: str) -> ExpressionError:
        return ExpressionError(f"{what} at character {self._at + 1} of {self._text!r}")

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _skip(self, text: str) -> bool:
        if self._peek(text):
            self._at += len(text)
            return True
        return False

    def _choice(self, depth: int) -> Tree:
        if depth > NESTING_MAX:
            raise self._error(f"more than {NESTING_MAX} nested groups")
        outer = self._fold, self._dot
        parts = [self._series(depth)]
        while self._skip("|"):
            parts.append(self._series(depth))
        self._fold, self._dot = outer
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _series(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while self._at < len(self._text) and not self._peek("|") and not self._peek(")"):
            parts.append(self._repeated(self._atom(depth)))
        return Series(tuple(parts))

    def _repeated(self, atom: Tree) -> Tree:
        times = self._times()
        if times is None:
            return atom
        lazy = self._skip("?")
        if self._times() is not None:
            raise self._error("a repetition of a repetition")
        return Repeat(atom, *times, lazy)

    def _times(self) -> tuple[int, int | None] | None:
        for sign, times in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(sign):
                return times
        match = re.compile(r"\{(\d{1,4})(,(\d{1,4})?)?\}").match(self._text, self._at)
        if match is None:
            return None
        least = int(match[1])
        most = int(match[3]) if match[3] else None if match[2] else least
        if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
            raise self._error(f"a bad repetition {match[0]}")
        self._at = match.end()
        return least, most

    def _atom(self, depth: int) -> Tree:
        if self._skip("("):
            return self._group(depth)
        if self._skip("["):
            return Leaf(BYTE, self._brackets())
        for sign, step in ((".", Leaf(BYTE, self._dot)), ("^", Leaf(BEGIN)), ("$", Leaf(END))):
            if self._skip(sign):
                return step
        if self._skip("\\"):
            return self._escaped()
        if self._text[self._at] in "*+?":
            raise self._error("nothing to repeat")
        self._at += 1
        return self._literal(self._text[self._at - 1])

    def _group(self, depth: int) -> Tree:
        if not self._skip("?"):
            return self._numbered(depth, "")
        match = re.compile(r"P?<(\w+)>|([ims]*)(?:-[imsU]+)?([:)])").match(self._text, self._at)
        if match is None:
            raise self._error("an unsupported group (use (?:...) or (?i))")
        self._at = match.end()
        if match[1]:
            return self._numbered(depth, match[1])
        if "i" in match[2]:
            self._fold = True
        if "s" in match[2]:
            self._dot = _ALL
        return Series(()) if match[3] == ")" else self._inner(depth)

    def _numbered(self, depth: int, name: str) -> Tree:
        self._groups += 1
        number = self._groups
        return Group(self._inner(depth), number, name)

    def _inner(self, depth: int) -> Tree:
        inner = self._choice(depth + 1)
        if not self._skip(")"):
            raise self._error("a ( without its )")
        return inner

    def _escaped(self) -> Tree:
        if self._at >= len(self._text):
            raise self._error("a backslash at the end")
        if self._skip("A"):
            return Leaf(BEGIN)
        if self._skip("z"):
            return Leaf(END)
        if self._skip("Q"):
            literal, _, _ = self._text[self._at :].partition("\\E")
            self._at += len(literal) + 2
            return Series(tuple(self._literal(char) for char in literal))
        letter = self._text[self._at]
        if letter.lower() in _CLASSES:
            self._at += 1
            mask = _CLASSES[letter.lower()]
            return Leaf(BYTE, mask if letter.islower() else _ALL & ~mask)
        return self._literal(self._escape())

    def _escape(self) -> str:
        if match := re.compile(r"x([0-9A-Fa-f]{2})").match(self._text, self._at):
            self._at = match.end()
            return chr(int(match[1], 16))
        letter = self._text[self._at]
        if letter in _ESCAPES:
            self._at += 1
            return chr(_ESCAPES[letter])
        if letter.isalnum():
            raise self._error(f"\\{letter} is not supported")
        self._at += 1
        return letter

    def _literal(self, char: str) -> Tree:
        return Series(tuple(Leaf(BYTE, self._folded(1 << byte)) for byte in char.encode()))

    def _folded(self, mask: int) -> int:
        if not self._fold:
            return mask
        return mask | (mask & _UPPER) << 32 | (mask & _LOWER) >> 32

    def _brackets(self) -> int:
        negated = self._skip("^")
        mask, first = 0, True
        while first or not self._skip("]"):
            if self._at >= len(self._text):
                raise self._error("a [ without its ]")
            mask |= self._bracketed()
            first = False
        mask = self._folded(mask)
        return _ALL & ~mask if negated else mask

    def _bracketed(self) -> int:
        if match := re.compile(r"\[:(\^?)(\w+):\]").match(self._text, self._at):
            if match[2] not in _POSIX:
                raise self._error(f"unknown class {match[0]}")
            self._at = match.end()
            return _ALL & ~_POSIX[match[2]] if match[1] else _POSIX[match[2]]
        if self._peek("\\") and self._text[self._at + 1 : self._at + 2].lower() in _CLASSES:
            letter = self._text[self._at + 1]
            self._at += 2
            mask = _CLASSES[letter.lower()]
            return mask if letter.islower() else _ALL & ~mask
        low = self._single()
        high = low
        if self._peek("-") and self._text[self._at + 1 : self._at + 2] not in {"", "]"}:
            self._at += 1
            high = self._single()
        if high < low:
            raise self._error("a range in the wrong order")
        return sum(1 << byte for byte in range(low, high + 1))

    def _single(self) -> int:
        if self._skip("\\"):
            if self._at >= len(self._text):
                raise self._error("a [ without its ]")
            char = self._escape()
        else:
            char = self._text[self._at]
            self._at += 1
        if ord(char) > 127:
            raise self._error("only ASCII is supported in brackets")
        return ord(char)
