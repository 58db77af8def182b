"""What waits in a replica: proposals to be applied, and reads for their read index."""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from coordinator.core.raft.membership import ConfChange
from coordinator.core.replica.sessions import SPAN_MAX
from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import NO_TTL, Command, CreateInOrder, Put, size_bytes
from coordinator.core.store.event import KeyEvent

# Commands on their way to the leader, as many as in one AppendEntries: a link that carries more has
# no room for acknowledgements and heartbeats.
FORWARDED_BYTES_MAX = 1 << 20
# The values in undecided writes of this member's clients. While no leader decides, each client
# waits with a value of its own.
PENDING_BYTES_MAX = 128 << 20
# Beside the ids of members: leadership goes to whichever other one is best.
ANY_OTHER = 0
# A command, a change of membership, or the member that leadership goes to.
LeaderRequest = Command | ConfChange | int
# The event of a write, an error, or None when something else is done.
Outcome = KeyEvent | ApiError | None


class Waiter(Protocol):
    """Waits for an outcome, and answers its client."""

    def answer(self, outcome: Outcome) -> None:
        """Take the outcome. Called once."""
        ...


Outcomes = list[tuple[Waiter, Outcome]]


class PendingProposal:
    """A request on its way to the log."""

    __slots__ = ("forwarded_bytes", "request", "since_ns", "ttl_ns", "value_bytes", "waiter")

    def __init__(
        self, request: LeaderRequest, waiter: Waiter | None, since_ns: int, ttl_ns: int
    ) -> None:
        self.request = request
        self.waiter = waiter
        self.since_ns = since_ns
        self.ttl_ns = ttl_ns
        self.value_bytes = _value_bytes(request)
        self.forwarded_bytes = 0  # its size, once it is on its way


class PendingProposals:
    """The requests of this member's clients, by sequence number, until they are decided.

    `outcomes` is where those go whose outcome is known.
    """

    def __init__(self, outcomes: Outcomes) -> None:
        self.by_sequence: dict[int, PendingProposal] = {}
        self.unsent: deque[int] = deque()
        self._outcomes = outcomes
        self._forwarded_bytes = 0
        self._value_bytes = 0
        self._last = 0
        self._oldest = 1

    @property
    def is_full(self) -> bool:
        """Whether too much is undecided, or the oldest number is too far behind for another one."""
        if self._value_bytes >= PENDING_BYTES_MAX:
            return True
        while self._oldest not in self.by_sequence and self._oldest <= self._last:
            self._oldest += 1
        return self._last - self._oldest >= SPAN_MAX - 1

    def add(
        self, request: LeaderRequest, waiter: Waiter | None, since_ns: int, ttl_ns: int = NO_TTL
    ) -> None:
        """Give a request the next number."""
        self._last += 1
        pending = PendingProposal(request, waiter, since_ns, ttl_ns)
        self.by_sequence[self._last] = pending
        self._value_bytes += pending.value_bytes
        self.unsent.append(self._last)

    def take_unsent(self) -> Iterator[tuple[int, PendingProposal]]:
        """Take what is to be sent and still undecided."""
        unsent = self.unsent
        while unsent:
            sequence = unsent.popleft()
            if (pending := self.by_sequence.get(sequence)) is not None:
                yield sequence, pending

    def take_to_forward(self) -> Iterator[tuple[int, PendingProposal]]:
        """Take what may be sent to the leader now; the rest waits until some of it is decided."""
        while self.unsent and self._forwarded_bytes < FORWARDED_BYTES_MAX:
            sequence = self.unsent.popleft()
            pending = self.by_sequence.get(sequence)
            if pending is None:
                continue
            if not isinstance(pending.request, int | ConfChange):
                pending.forwarded_bytes = size_bytes(pending.request)
                self._forwarded_bytes += pending.forwarded_bytes
            yield sequence, pending

    def send_again(self) -> None:
        """Send all that is undecided once more."""
        self.unsent = deque(self.by_sequence)
        self._forwarded_bytes = 0
        for pending in self.by_sequence.values():
            pending.forwarded_bytes = 0

    def decided(self, sequence: int) -> PendingProposal | None:
        """Remove what is decided, and return it; None if it was removed before."""
        pending = self.by_sequence.pop(sequence, None)
        if pending is not None:
            self._forwarded_bytes -= pending.forwarded_bytes
            self._value_bytes -= pending.value_bytes
        return pending

    def finish(self, sequence: int, outcome: Outcome) -> None:
        """Note the outcome of a request, unless it has one already."""
        pending = self.decided(sequence)
        if pending is not None and pending.waiter is not None:
            self._outcomes.append((pending.waiter, outcome))

    def finish_transfers(self) -> None:
        """Note that leadership has moved: transfers are done."""
        by_sequence = self.by_sequence
        for sequence in [s for s, each in by_sequence.items() if isinstance(each.request, int)]:
            self.finish(sequence, None)

    def expire(self, before_ns: int, outcome: ApiError) -> None:
        """Give this outcome to what waits since `before_ns` or longer."""
        overdue = []
        for sequence, pending in self.by_sequence.items():
            if pending.since_ns > before_ns:
                break
            overdue.append(sequence)
        for sequence in overdue:
            self.finish(sequence, outcome)


def _value_bytes(request: LeaderRequest) -> int:
    # Cheaper than `size_bytes`, because each write pays for it.
    if isinstance(request, Put):
        return len(request.value or b"") + len(request.prev_value or b"")
    return len(request.value or b"") if isinstance(request, CreateInOrder) else 0


class ReadIndexQueue:
    """Reads that wait for the leader's read index, and then for that index to be applied here.

    A context is one question to the leader for all reads that wait then. The first one is drawn,
    so that an answer to an earlier run of this member is not taken for an answer to this one.
    """

    def __init__(self, context: int, outcomes: Outcomes) -> None:
        self.waiting: list[tuple[Waiter, int]] = []
        self._outcomes = outcomes
        self._context = context
        self._asked: dict[int, list[tuple[Waiter, int]]] = {}
        self._known: deque[tuple[int, list[tuple[Waiter, int]]]] = deque()

    def ask(self) -> int:
        """Put all that waits under one new context and return it."""
        self._context += 1
        self._asked[self._context], self.waiting = self.waiting, []
        return self._context

    def ask_again(self) -> None:
        """Put the reads in flight back into the queue: they will not be answered."""
        self.waiting += [each for asked in self._asked.values() for each in asked]
        self._asked.clear()

    def answered(self, context: int, index: int) -> None:
        """Note the read index of a context."""
        if (waiters := self._asked.pop(context, None)) is not None:
            self._known.append((index, waiters))

    def release(self, applied: int) -> None:
        """Let those read whose index is applied."""
        while self._known and self._known[0][0] <= applied:
            self._outcomes += [(waiter, None) for waiter, _ in self._known.popleft()[1]]

    def expire(self, before_ns: int, outcome: ApiError) -> None:
        """Give this outcome to what waits since `before_ns` or longer."""
        known = (waiters for _, waiters in self._known)
        for waiters in (self.waiting, *self._asked.values(), *known):
            late = [each for each in waiters if each[1] <= before_ns]
            waiters[:] = [each for each in waiters if each[1] > before_ns]
            self._outcomes += [(waiter, outcome) for waiter, _ in late]
        self._asked = {context: asked for context, asked in self._asked.items() if asked}
