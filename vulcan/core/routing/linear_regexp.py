"""Regular expressions of routes: RE2's syntax, matched in time linear in the subject.

Python's own engine backtracks: one request with a crafted path could block a worker for minutes.
Here an expression is compiled to a nondeterministic automaton. The sets of states that subjects
reach are cached as they occur (a lazy DFA). Matching is a search; `^` and `$` anchor it. It works
on bytes, so `.` is one byte of UTF-8. `submatches` finds the groups of matches. Not supported:
`\\b`, `\\B`, `\\p{...}`, letters beyond ASCII in brackets, and, as in RE2, back references and
look-around.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vulcan.core.routing import regexp_syntax
from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.regexp_syntax import (
    Choice,
    Group,
    Leaf,
    Repeat,
    Series,
    Tree,
    parse_regexp,
)

# `a{1000}` is written out. An expression with more steps than this is a mistake.
STEPS_MAX = 4000
# Cached sets of states. When an expression has more, its cache is emptied.
SETS_MAX = 2000

# Steps of the automaton. A byte step moves on by one byte; the others take none. The steps after a
# split are in the order of preference. A save step remembers where a group begins or ends.
BYTE, BEGIN, END = regexp_syntax.BYTE, regexp_syntax.BEGIN, regexp_syntax.END
SPLIT, ACCEPT, SAVE = 3, 4, 5
_Step = tuple[int, int, tuple[int, ...]]  # kind, mask of bytes or saved position, next steps


@dataclass(frozen=True, slots=True)
class Regexp:
    """A compiled expression."""

    text: str
    steps: tuple[_Step, ...] = field(repr=False, compare=False)
    groups: Mapping[str, int] = field(repr=False, compare=False)  # numbers, by number and by name
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
            if self.steps[number][0] == BYTE and self.steps[number][1] & bit
            for target in self.steps[number][2]
        ]
        # A search may begin at any byte.
        return self._set(self._closure((*reached, 0), begins=False), begins=False)

    def _ends(self, current: "_Set") -> bool:
        if current.ends is None:
            ended = self._closure(current.numbers, begins=current.begins, ends=True)
            current.ends = any(self.steps[number][0] == ACCEPT for number in ended)
        return current.ends

    def _set(self, numbers: frozenset[int], *, begins: bool) -> "_Set":
        found = self._sets.get((numbers, begins))
        if found is None:
            if len(self._sets) >= SETS_MAX:
                self._sets.clear()
            accepts = any(self.steps[number][0] == ACCEPT for number in numbers)
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
            if kind in {SPLIT, SAVE} or (kind == BEGIN and begins) or (kind == END and ends):
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
    tree = parse_regexp(text, fold=fold)
    steps: list[_Step] = []
    first = _emit(steps, tree, _add(steps, (ACCEPT, 0, ())))
    # The search begins at step 0.
    groups = {"0": 0, **_groups(tree)}
    return Regexp(text, tuple(_with_start(steps, first)), groups, _prefix(text, fold=fold))


def _groups(tree: Tree) -> dict[str, int]:
    """Return the numbers of the groups in a tree, by number and by name."""
    match tree:
        case Leaf():
            return {}
        case Series(parts) | Choice(parts):
            return {name: number for part in parts for name, number in _groups(part).items()}
        case Repeat(part, _, _, _):
            return _groups(part)
        case Group(part, number, name):
            own = {str(number): number, **({name: number} if name else {})}
            return own | _groups(part)


def _prefix(text: str, *, fold: bool) -> bytes:
    if fold or "|" in text:
        return b""
    match = re.match(r"\^([A-Za-z0-9/_~=&:;@,%-]*)([*?{])?", text)
    if match is None:
        return b""
    literal = match[1][:-1] if match[2] else match[1]
    return literal.encode()


def _add(steps: list[_Step], step: _Step) -> int:
    if len(steps) >= STEPS_MAX:
        raise ExpressionError(f"the expression needs more than {STEPS_MAX} steps")
    steps.append(step)
    return len(steps) - 1


def _emit(steps: list[_Step], tree: Tree, then: int) -> int:
    """Add the steps of a tree before step `then`; return the number of the first one."""
    match tree:
        case Leaf(kind, mask):
            return _add(steps, (kind, mask, (then,)))
        case Series(parts):
            for part in reversed(parts):
                then = _emit(steps, part, then)
            return then
        case Choice(parts):
            return _add(steps, (SPLIT, 0, tuple(_emit(steps, part, then) for part in parts)))
        case Group(part, number, _):
            after = _add(steps, (SAVE, 2 * number + 1, (then,)))
            return _add(steps, (SAVE, 2 * number, (_emit(steps, part, after),)))
        case Repeat():
            return _emit_repeat(steps, tree, then)


def _emit_repeat(steps: list[_Step], tree: Repeat, then: int) -> int:
    part, lazy, copies = tree.part, tree.lazy, tree.least
    if tree.most is None:
        # As in Go, `x*` is `(x+)?`: an `x` that prefers the empty match ends the repetition.
        loop = _add(steps, (SPLIT, 0, ()))
        once = _emit(steps, part, loop)
        steps[loop] = _split(once, then, lazy=lazy)
        then = once if copies else _add(steps, _split(once, then, lazy=lazy))
        copies -= 1
    else:
        after = then
        for _ in range(tree.most - tree.least):
            then = _add(steps, _split(_emit(steps, part, then), after, lazy=lazy))
    for _ in range(copies):
        then = _emit(steps, part, then)
    return then


def _split(again: int, after: int, *, lazy: bool) -> _Step:
    return SPLIT, 0, (after, again) if lazy else (again, after)


def _with_start(steps: list[_Step], first: int) -> list[_Step]:
    """Insert a step 0 that leads to `first`."""
    moved = [(kind, mask, tuple(to + 1 for to in targets)) for kind, mask, targets in steps]
    return [(SPLIT, 0, (first + 1,)), *moved]
