"""Find all matches of a linear regular expression, with their groups.

It walks the automaton depth first, in the order of preference of Perl and Go: the leftmost match,
greedy parts before lazy ones. No step is taken twice at one position: where a step failed once, it
fails again, whatever came before. So all matches together take at most one visit for each step and
position. (RE2 calls this search a bit-state backtracker.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vulcan.core.routing.linear_regexp import ACCEPT, BEGIN, BYTE, END, SAVE, Regexp

_Saved = tuple[int, int, "_Saved"] | None  # which position, its value, and those saved before


@dataclass(frozen=True, slots=True)
class Match:
    """A match, and where its groups begin and end."""

    subject: bytes
    start: int
    end: int
    saved: _Saved

    def group(self, number: int) -> bytes:
        """Return the text of a group; empty when the group took no part in the match."""
        if number == 0:
            return self.subject[self.start : self.end]
        end = self._position(2 * number + 1)
        return b"" if end is None else self.subject[self._position(2 * number) or 0 : end]

    def _position(self, wanted: int) -> int | None:
        saved = self.saved
        while saved is not None:
            position, at, saved = saved
            if position == wanted:
                return at
        return None


def find_all(regexp: Regexp, subject: bytes) -> Iterator[Match]:
    """Return the matches from left to right. No empty match follows another match at once."""
    search = _SubmatchSearch(regexp, subject)
    at, previous_end = 0, -1
    while at <= len(subject):
        match = search.first_from(at)
        if match is None:
            return
        if match.start != match.end or match.start != previous_end:
            yield match
        at = match.end + 1 if match.end == at else match.end
        previous_end = match.end


class _SubmatchSearch:
    """The searches in one subject. They share what they have visited."""

    def __init__(self, regexp: Regexp, subject: bytes) -> None:
        self._steps = regexp.steps
        self._subject = subject
        self._visited = bytearray(len(regexp.steps) * (len(subject) + 1))

    def first_from(self, at: int) -> Match | None:
        """Return the first match that begins at a position or after it."""
        for start in range(at, len(self._subject) + 1):
            found = self._match_at(start)
            if found is not None:
                return found
        return None

    def _match_at(self, start: int) -> Match | None:
        steps, subject, visited = self._steps, self._subject, self._visited
        width, length = len(steps), len(subject)
        waiting: list[tuple[int, int, _Saved]] = [(0, start, None)]
        while waiting:
            number, at, saved = waiting.pop()
            while not visited[at * width + number]:
                visited[at * width + number] = 1
                kind, operand, targets = steps[number]
                if kind == ACCEPT:
                    self._forget(at)
                    return Match(subject, start, at, saved)
                if kind == BYTE:
                    if at == length or not operand >> subject[at] & 1:
                        break
                    at += 1
                elif (kind == BEGIN and at != 0) or (kind == END and at != length):
                    break
                elif kind == SAVE:
                    saved = (operand, at, saved)
                number = targets[0]
                waiting += [(other, at, saved) for other in targets[:0:-1]]
        return None

    def _forget(self, at: int) -> None:
        """Forget the visits where a match ends: its own steps did not fail there."""
        width = len(self._steps)
        self._visited[at * width : (at + 1) * width] = bytes(width)
