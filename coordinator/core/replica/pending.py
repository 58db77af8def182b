"""Who waits in a replica: writes on their way to the log, and reads for their index."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from coordinator.core.peer.peer_messages import NO_TTL
from coordinator.core.raft.membership import ConfChange
from coordinator.core.replica.sessions import SPAN_MAX
from coordinator.core.store.commands import Command

Waiter = TypeVar("Waiter")
# A command, a change of membership, or the member that leadership goes to (0: any other).
LeaderRequest = Command | ConfChange | int


class PendingProposal(Generic[Waiter]):
    """Something on its way."""

    __slots__ = ("ask", "since_ns", "ttl_ns", "waiter")

    def __init__(
        self, ask: LeaderRequest, waiter: Waiter | None, since_ns: int, ttl_ns: int
    ) -> None:
        self.ask = ask
        self.waiter = waiter
        self.since_ns = since_ns
        self.ttl_ns = ttl_ns


class PendingProposals(Generic[Waiter]):
    """What this member's clients ask for, by number, until it is decided."""

    def __init__(self) -> None:
        self.pending: dict[int, PendingProposal[Waiter]] = {}
        self.unsent: list[int] = []
        self._last = 0
        self._oldest = 1

    @property
    def is_full(self) -> bool:
        """Whether the oldest undecided number is too far behind for another one."""
        while self._oldest not in self.pending and self._oldest <= self._last:
            self._oldest += 1
        return self._last - self._oldest >= SPAN_MAX - 1

    def add(
        self, ask: LeaderRequest, waiter: Waiter | None, since_ns: int, ttl_ns: int = NO_TTL
    ) -> None:
        """Give something the next number."""
        self._last += 1
        self.pending[self._last] = PendingProposal(ask, waiter, since_ns, ttl_ns)
        self.unsent.append(self._last)

    def take_unsent(self) -> Iterator[tuple[int, PendingProposal[Waiter]]]:
        """Take what is to be sent and is still waited for."""
        unsent, self.unsent = self.unsent, []
        for sequence in unsent:
            if (pending := self.pending.get(sequence)) is not None:
                yield sequence, pending

    def send_again(self) -> None:
        """Send all that is undecided once more."""
        self.unsent = list(self.pending)

    def overdue(self, before_ns: int) -> list[int]:
        """Return the numbers of what waits since then or longer."""
        late = []
        for sequence, pending in self.pending.items():
            if pending.since_ns > before_ns:
                break
            late.append(sequence)
        return late


class ReadIndexQueue(Generic[Waiter]):
    """Reads that wait for the leader's index, and then for it to be applied here.

    A context is one question to the leader for all that wait then. `context` is drawn, so that
    no answer to an earlier start of this member is taken for one of its own.
    """

    def __init__(self, context: int) -> None:
        self.waiting: list[tuple[Waiter, int]] = []
        self._context = context
        self._asked: dict[int, list[tuple[Waiter, int]]] = {}
        self._known: deque[tuple[int, list[tuple[Waiter, int]]]] = deque()

    def ask(self) -> int:
        """Put all that waits under one new context and return it."""
        self._context += 1
        self._asked[self._context], self.waiting = self.waiting, []
        return self._context

    def ask_again(self) -> None:
        """Note that nobody will answer what was asked."""
        self.waiting += [each for asked in self._asked.values() for each in asked]
        self._asked.clear()

    def answered(self, context: int, index: int) -> None:
        """Note the index of a context."""
        if (waiters := self._asked.pop(context, None)) is not None:
            self._known.append((index, waiters))

    def released(self, applied: int) -> Iterator[Waiter]:
        """Take those whose index is applied."""
        while self._known and self._known[0][0] <= applied:
            for waiter, _ in self._known.popleft()[1]:
                yield waiter

    def overdue(self, before_ns: int) -> list[Waiter]:
        """Take those that wait since then or longer."""
        late = [waiter for waiter, since_ns in self.waiting if since_ns <= before_ns]
        self.waiting = [each for each in self.waiting if each[1] > before_ns]
        for context in [c for c, asked in self._asked.items() if asked[-1][1] <= before_ns]:
            late += [waiter for waiter, _ in self._asked.pop(context)]
        return late


class LeaderTimeout:
    """For how long nobody was heard, and whether that is too long to keep anybody waiting."""

    def __init__(self, limit_ns: int, now_ns: int) -> None:
        self._limit_ns = limit_ns
        self._since_ns = now_ns

    def begin(self, now_ns: int) -> None:
        """Note that a leader is known."""
        self._since_ns = now_ns

    def waited_ns(self, now_ns: int) -> int:
        """Return for how long none has been."""
        return now_ns - self._since_ns

    def is_over(self, now_ns: int) -> bool:
        """Whether it has been too long."""
        return self.waited_ns(now_ns) > self._limit_ns
