"""What a leader knows about one follower, and what it may send to it.

PROBE      where the two logs agree is not known: one AppendEntries at a time
REPLICATE  it is known: AppendEntries are pipelined, up to INFLIGHT_MAX and INFLIGHT_BYTES_MAX
SNAPSHOT   the entries that it needs are no longer in the log: one chunk of a snapshot at a time
"""

from collections import deque
from enum import Enum, auto

INFLIGHT_MAX = 256
INFLIGHT_BYTES_MAX = 16 << 20
CHUNK_DOUBLINGS_MAX = 5


class ProgressState(Enum):
    """How the log is sent to a follower."""

    PROBE = auto()
    REPLICATE = auto()
    SNAPSHOT = auto()


class FollowerProgress:
    """One follower's replication."""

    def __init__(self, next_index: int) -> None:
        self.state = ProgressState.PROBE
        self.match = 0
        self.next = next_index
        self.active = True  # heard from since the last check of the quorum
        self.was_active = True  # and before it
        self.waiting = False  # PROBE: for an answer
        self.forwarded_index = 0  # the last entry of a write that it forwarded, and waits for
        self.commit_sent = 0  # the last commit index that it was sent
        self.read_round = 0  # the last heartbeat round that it answered
        self.snapshot_index = 0
        self.snapshot_offset = 0
        self._chunk_ticks_left = 0  # until the chunk on its way counts as lost
        self._chunks_lost = 0  # in a row
        self._chunk_batch = 0  # the number of the outbox's round that has the last chunk
        self._inflight: deque[tuple[int, int]] = deque()
        self._inflight_bytes = 0

    @property
    def recently_active(self) -> bool:
        """Whether the follower was heard from within two election timeouts."""
        return self.active or self.was_active

    @property
    def can_send(self) -> bool:
        """Whether an AppendEntries may leave now."""
        if self.state is ProgressState.REPLICATE:
            full = len(self._inflight) >= INFLIGHT_MAX or self._inflight_bytes >= INFLIGHT_BYTES_MAX
            return not full
        return self.state is ProgressState.PROBE and not self.waiting

    def sent(self, last: int, size_bytes: int) -> None:
        """Note an AppendEntries whose last entry is `last`."""
        if self.state is ProgressState.REPLICATE:
            self._inflight.append((last, size_bytes))
            self._inflight_bytes += size_bytes
            self.next = last + 1
        else:
            self.waiting = True

    def matched(self, index: int) -> bool:
        """Note that the follower's log is right up to `index`; say whether that is news."""
        self.waiting = False
        while self._inflight and self._inflight[0][0] <= index:
            self._inflight_bytes -= self._inflight.popleft()[1]
        news = index > self.match
        self.match = max(self.match, index)
        self.next = max(self.next, index + 1)
        if self.state is ProgressState.PROBE or (
            self.state is ProgressState.SNAPSHOT and self.match >= self.snapshot_index
        ):
            self._become(ProgressState.REPLICATE)
            self.next = self.match + 1
        return news

    def rejected(self, index: int, next_index: int) -> bool:
        """Note that the follower has no entry `index`; say whether to look before it at once.

        A follower without what it has acknowledged is asked again at the next heartbeat only.
        """
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
            self._become(ProgressState.PROBE)
            self.next = self.match + 1
            return True
        if self.state is ProgressState.SNAPSHOT or self.next - 1 != index:
            return False
        if index <= self.match:
            return False
        self.next = max(min(index, next_index), self.match + 1)
        self.waiting = False
        return True

    def needs_snapshot(self, index: int) -> None:
        """Send the snapshot at `index` before anything else."""
        self._become(ProgressState.SNAPSHOT)
        self.snapshot_index = index
        self._continue_at(0)

    @property
    def is_chunk_on_its_way(self) -> bool:
        """Whether the follower has not answered the last chunk, and may still do so."""
        return self._chunk_ticks_left > 0

    def chunk_sent(self, timeout_ticks: int, batch: int) -> None:
        """Note a chunk in the outbox. A slow link gets twice the time after each timeout.

        `batch` is the number of the outbox's round. A long save may keep the chunk there: it can
        be lost, and the time for its answer passes, only in later rounds.
        """
        self._chunk_batch = batch
        self._chunk_ticks_left = timeout_ticks << min(self._chunks_lost, CHUNK_DOUBLINGS_MAX)

    def chunk_answered(self, offset: int) -> bool:
        """Note how much of the snapshot the follower has; False for an answer that came before.

        A follower has more with each chunk, or nothing: it was started again, say.
        """
        if 0 < offset <= self.snapshot_offset or (offset == 0 and self.snapshot_offset == 0):
            return False
        self._continue_at(offset)
        return True

    def tick(self, batch: int) -> None:
        """Note that one tick of time has passed."""
        if self._chunk_ticks_left and batch > self._chunk_batch:
            self._chunk_ticks_left -= 1
            self._chunks_lost += not self._chunk_ticks_left

    def lost(self, batch: int) -> None:
        """Note that messages to the follower were dropped: find its place again."""
        if self.state is ProgressState.REPLICATE:
            self._become(ProgressState.PROBE)
            self.next = self.match + 1
        self.waiting = False
        if batch > self._chunk_batch:
            self._chunk_ticks_left = 0

    def _continue_at(self, offset: int) -> None:
        self.snapshot_offset = offset
        self._chunk_ticks_left = self._chunks_lost = 0

    def _become(self, state: ProgressState) -> None:
        self.state = state
        self.waiting = False
        self._inflight.clear()
        self._inflight_bytes = 0
