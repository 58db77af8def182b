"""The audit log of this member: every change, every refusal, every call about users and members.

A record costs a few microseconds. The records of one turn of the event loop are written together
at its end, so a member that is killed loses no line of a request that it has answered earlier.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from coordinator.core.auth.audit_record import (
    REFUSED,
    TEXT_CHARACTERS_MAX,
    Outcome,
    RefusalBudget,
    encoded,
)
from coordinator.core.store.encoding import json_string, rfc3339
from coordinator.server.access.audit_file import AuditFile

FILE_NAME = "audit.log"
# The last lines, from which streams read: a slow reader costs no memory of its own.
RECENT_LINES_MAX = 4096
RECENT_BYTES_MAX = 1 << 20
CUT = "…".encode()


def caller(user: str, source: str, address: str) -> bytes:
    """Return the part of a line about who made a request."""
    return b'"user":%b,"source":%b,"address":%b' % tuple(map(encoded, (user, source, address)))


class AuditLog:
    """Takes records, keeps the last ones for streams, and writes all of them to a file.

    The file is made with the first record.
    """

    def __init__(self, directory: Path) -> None:
        self.file = AuditFile(directory / FILE_NAME)
        self.records = 0
        self._loop = asyncio.get_running_loop()
        self._budget = RefusalBudget()
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._pending: list[bytes] = []
        self._at = b""
        self._readers: set[Callable[[], None]] = set()

    def change(self, who: bytes, action: str, key: bytes, index: int) -> None:
        """Add a record of a change that was made; `who` is what `caller` returned."""
        if len(key) > TEXT_CHARACTERS_MAX:
            key = key[:TEXT_CHARACTERS_MAX] + CUT
        if not self._pending:
            self._begin_turn()
        self._pending.append(
            b'{"at":"%b",%b,"operation":"%b","key":%b,"index":%d}\n'
            % (self._at, who, action.encode(), json_string(key), index)
        )

    def record(  # noqa: PLR0913 - the fields of a line
        self,
        operation: str,
        *,
        user: str,
        source: str,
        address: str,
        key: str = "",
        index: int = 0,
        outcome: Outcome = "done",
        why: str = "",
    ) -> None:
        """Add a record of what just happened."""
        if outcome in REFUSED and not self._budget.admits(self._loop.time()):
            return
        if not self._pending:
            self._begin_turn()
        if left_out := self._budget.left_out():
            self._pending.append(b'{"refused_too":%d}\n' % left_out)
        who = caller(user, source, address)
        what = b'"operation":%b,"key":%b' % (encoded(operation), encoded(key))
        if outcome != "done" or why:
            what += b',"outcome":"%b","why":%b' % (outcome.encode(), encoded(why))
        self._pending.append(b'{"at":"%b",%b,%b,"index":%d}\n' % (self._at, who, what, index))

    def read(self, position: int) -> tuple[int, bytes, int]:
        """Return how many lines from a position on are gone, the others, and the next position."""
        missed = max(0, self.oldest - position)
        lines = islice(self._recent, position + missed - self.oldest, None)
        return missed, b"".join(lines), self.records

    def follow(self, wake: Callable[[], None]) -> None:
        """Call `wake` after new lines, until `leave`."""
        self._readers.add(wake)

    def leave(self, wake: Callable[[], None]) -> None:
        """Call `wake` no more."""
        self._readers.discard(wake)

    @property
    def oldest(self) -> int:
        """The position of the oldest line that can be read."""
        return self.records - len(self._recent)

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._flush()
        self.file.close()

    def _begin_turn(self) -> None:
        # The records of one turn have one time, and are written together.
        self._at = rfc3339(time.time_ns() // 1_000_000 * 1_000_000)
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        lines, self._pending = self._pending, []
        if not lines:
            return
        self.file.append(lines, self._loop.time())
        recent = self._recent
        recent.extend(lines)
        self.records += len(lines)
        self._recent_bytes += sum(map(len, lines))
        while len(recent) > RECENT_LINES_MAX or self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= len(recent.popleft())
        for wake in tuple(self._readers):
            wake()
