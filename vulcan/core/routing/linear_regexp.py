"""Regular expressions of routes: RE2's syntax, matched in time linear in the subject.

Python's own engine backtracks: one request with a crafted path could block a worker for minutes.
Here an expression is compiled to a nondeterministic automaton. The sets of states that subjects
reach are cached as they occur (a lazy DFA). Matching is a search; `^` and `$` anchor it. It works
on bytes, so `.` is one byte of UTF-8. Not supported: `\\b`, `\\B`, `\\p{...}`, letters beyond ASCII
in brackets, and, as in RE2, back references and look-around.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from vulcan.core.routing.expression import ExpressionError

# `a{1000}` is written out. An expression with more steps than this is a mistake.
STEPS_MAX = 4000
REPEAT_MAX = 1000
NESTING_MAX = 50
# Cached sets of states. When an expression has more, its cache is emptied.
SETS_MAX = 2000

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

# Steps of the automaton. A byte step moves on by one byte; the others take none.
_BYTE, _SPLIT, _BEGIN, _END, _ACCEPT = range(5)
_Step = tuple[int, int, tuple[int, ...]]  # kind, mask of bytes, next steps


@dataclass(frozen=True, slots=True)
class Regexp:
    """A compiled expression."""

    text: str
    steps: tuple[_Step, ...] = field(repr=False, compare=False)
    prefix: bytes  # the text with which every match begins, when the expression is anchored
    _sets: dict[tuple[frozenset[int], bool], "_Set"] = field(
        default_factory=dict, repr=False, compare=False
    )

    def matches(self, subject: bytes) -> bool:
        """Whether the expression matches somewhere in the subject."""
        current = self._set(self._closure((0,), begins=True), begins=True)
        for byte in subject:
            if current.accepts:
                return True
            following = current.moves.get(byte)
            if following is None:
                following = current.moves[byte] = self._moved(current, byte)
            current = following
        return current.accepts or self._ends(current)

    def _moved(self, current: "_Set", byte: int) -> "_Set":
        bit = 1 << byte
        reached = [
            target
            for number in current.numbers
            if self.steps[number][0] == _BYTE and self.steps[number][1] & bit
            for target in self.steps[number][2]
        ]
        # A search may begin at any byte.
        return self._set(self._closure((*reached, 0), begins=False), begins=False)

    def _ends(self, current: "_Set") -> bool:
        if current.ends is None:
            ended = self._closure(current.numbers, begins=current.begins, ends=True)
            current.ends = any(self.steps[number][0] == _ACCEPT for number in ended)
        return current.ends

    def _set(self, numbers: frozenset[int], *, begins: bool) -> "_Set":
        found = self._sets.get((numbers, begins))
        if found is None:
            if len(self._sets) >= SETS_MAX:
                self._sets.clear()
            accepts = any(self.steps[number][0] == _ACCEPT for number in numbers)
            found = self._sets[numbers, begins] = _Set(numbers, accepts, begins)
        return found

    def _closure(
        self, numbers: Iterable[int], *, begins: bool, ends: bool = False
    ) -> frozenset[int]:
        seen: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            kind, _, targets = self.steps[number]
            if kind == _SPLIT or (kind == _BEGIN and begins) or (kind == _END and ends):
                waiting += targets
        return frozenset(seen)


@dataclass(slots=True)
class _Set:
    numbers: frozenset[int]
    accepts: bool
    begins: bool  # tells the start apart: only there is an end also a beginning, for `$^`
    moves: dict[int, "_Set"] = field(default_factory=dict)
    ends: bool | None = None


def compile_regexp(text: str, *, fold: bool = False) -> Regexp:
    """Compile an expression; `fold` ignores case. Raises ExpressionError."""
    if not text:
        raise ExpressionError(
            "an empty expression matches everything: write an expression, or remove the call"
        )
    parser = _RegexpParser(text, fold=fold)
    tree = parser.parse()
    steps: list[_Step] = []
    first = _emit(steps, tree, _add(steps, (_ACCEPT, 0, ())))
    # The search begins at step 0.
    return Regexp(text, tuple(_with_start(steps, first)), _prefix(text, fold=fold))


def _prefix(text: str, *, fold: bool) -> bytes:
    if fold or "|" in text:
        return b""
    match = re.match(r"\^([A-Za-z0-9/_~=&:;@,%-]*)([*?{])?", text)
    if match is None:
        return b""
    literal = match[1][:-1] if match[2] else match[1]
    return literal.encode()


@dataclass(frozen=True, slots=True)
class _One:
    kind: int
    mask: int = 0


@dataclass(frozen=True, slots=True)
class _Series:
    parts: tuple["_Tree", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    parts: tuple["_Tree", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Tree"
    least: int
    most: int | None


_Tree = _One | _Series | _Choice | _Repeat


def _add(steps: list[_Step], step: _Step) -> int:
    if len(steps) >= STEPS_MAX:
        raise ExpressionError(f"the expression needs more than {STEPS_MAX} steps")
    steps.append(step)
    return len(steps) - 1


def _emit(steps: list[_Step], tree: _Tree, then: int) -> int:
    """Add the steps of a tree before step `then`; return the number of the first one."""
    match tree:
        case _One(kind, mask):
            return _add(steps, (kind, mask, (then,)))
        case _Series(parts):
            for part in reversed(parts):
                then = _emit(steps, part, then)
            return then
        case _Choice(parts):
            return _add(steps, (_SPLIT, 0, tuple(_emit(steps, part, then) for part in parts)))
        case _Repeat(part, least, most):
            if most is None:
                loop = _add(steps, (_SPLIT, 0, ()))
                steps[loop] = (_SPLIT, 0, (_emit(steps, part, loop), then))
                then = loop
            else:
                after = then
                for _ in range(most - least):
                    then = _add(steps, (_SPLIT, 0, (_emit(steps, part, then), after)))
            for _ in range(least):
                then = _emit(steps, part, then)
            return then


def _with_start(steps: list[_Step], first: int) -> list[_Step]:
    """Insert a step 0 that leads to `first`."""
    moved = [(kind, mask, tuple(to + 1 for to in targets)) for kind, mask, targets in steps]
    return [(_SPLIT, 0, (first + 1,)), *moved]


class _RegexpParser:
    """A recursive descent parser for RE2's syntax."""

    def __init__(self, text: str, *, fold: bool) -> None:
        self._text = text
        self._at = 0
        self._fold = fold
        self._dot = _LINE

    def parse(self) -> _Tree:
        tree = self._choice(0)
        if self._at < len(self._text):
            raise self._wrong("a ) without its (")
        return tree

    def _wrong(self, what: str) -> ExpressionError:
        return ExpressionError(f"{what} at character {self._at + 1} of {self._text!r}")

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _skip(self, text: str) -> bool:
        if self._peek(text):
            self._at += len(text)
            return True
        return False

    def _choice(self, depth: int) -> _Tree:
        if depth > NESTING_MAX:
            raise self._wrong(f"more than {NESTING_MAX} nested groups")
        outer = self._fold, self._dot
        parts = [self._series(depth)]
        while self._skip("|"):
            parts.append(self._series(depth))
        self._fold, self._dot = outer
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def _series(self, depth: int) -> _Tree:
        parts: list[_Tree] = []
        while self._at < len(self._text) and not self._peek("|") and not self._peek(")"):
            parts.append(self._repeated(self._atom(depth)))
        return _Series(tuple(parts))

    def _repeated(self, atom: _Tree) -> _Tree:
        times = self._times()
        if times is None:
            return atom
        self._skip("?")  # a search finds the same whether lazy or not
        if self._times() is not None:
            raise self._wrong("a repetition of a repetition")
        return _Repeat(atom, *times)

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
            raise self._wrong(f"a bad repetition {match[0]}")
        self._at = match.end()
        return least, most

    def _atom(self, depth: int) -> _Tree:
        if self._skip("("):
            return self._group(depth)
        if self._skip("["):
            return _One(_BYTE, self._brackets())
        for sign, step in ((".", _One(_BYTE, self._dot)), ("^", _One(_BEGIN)), ("$", _One(_END))):
            if self._skip(sign):
                return step
        if self._skip("\\"):
            return self._escaped()
        if self._text[self._at] in "*+?":
            raise self._wrong("nothing to repeat")
        self._at += 1
        return self._literal(self._text[self._at - 1])

    def _group(self, depth: int) -> _Tree:
        if self._skip("?"):
            match = re.compile(r"P?<\w+>|([ims]*)(?:-[imsU]+)?([:)])").match(self._text, self._at)
            if match is None:
                raise self._wrong("an unsupported group (use (?:...) or (?i))")
            self._at = match.end()
            if match[1] and "i" in match[1]:
                self._fold = True
            if match[1] and "s" in match[1]:
                self._dot = _ALL
            if match[2] == ")":
                return _Series(())
        inner = self._choice(depth + 1)
        if not self._skip(")"):
            raise self._wrong("a ( without its )")
        return inner

    def _escaped(self) -> _Tree:
        if self._at >= len(self._text):
            raise self._wrong("a backslash at the end")
        if self._skip("A"):
            return _One(_BEGIN)
        if self._skip("z"):
            return _One(_END)
        if self._skip("Q"):
            literal, _, _ = self._text[self._at :].partition("\\E")
            self._at += len(literal) + 2
            return _Series(tuple(self._literal(char) for char in literal))
        letter = self._text[self._at]
        if letter.lower() in _CLASSES:
            self._at += 1
            mask = _CLASSES[letter.lower()]
            return _One(_BYTE, mask if letter.islower() else _ALL & ~mask)
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
            raise self._wrong(f"\\{letter} is not supported")
        self._at += 1
        return letter

    def _literal(self, char: str) -> _Tree:
        return _Series(tuple(_One(_BYTE, self._folded(1 << byte)) for byte in char.encode()))

    def _folded(self, mask: int) -> int:
        if not self._fold:
            return mask
        return mask | (mask & _UPPER) << 32 | (mask & _LOWER) >> 32

    def _brackets(self) -> int:
        negated = self._skip("^")
        mask, first = 0, True
        while first or not self._skip("]"):
            if self._at >= len(self._text):
                raise self._wrong("a [ without its ]")
            mask |= self._bracketed()
            first = False
        mask = self._folded(mask)
        return _ALL & ~mask if negated else mask

    def _bracketed(self) -> int:
        if match := re.compile(r"\[:(\^?)(\w+):\]").match(self._text, self._at):
            if match[2] not in _POSIX:
                raise self._wrong(f"unknown class {match[0]}")
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
            raise self._wrong("a range in the wrong order")
        return sum(1 << byte for byte in range(low, high + 1))

    def _single(self) -> int:
        if self._skip("\\"):
            if self._at >= len(self._text):
                raise self._wrong("a [ without its ]")
            char = self._escape()
        else:
            char = self._text[self._at]
            self._at += 1
        if ord(char) > 127:
            raise self._wrong("only ASCII is supported in brackets")
        return ord(char)
