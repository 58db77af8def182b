"""One line of the audit log: who did what, from where, and what came of it. It has no values."""

from typing import Literal

import msgspec

# What a client sent as a key or a name is cut here; a key of the store may be longer.
TEXT_CHARACTERS_MAX = 512
# Lines about refused requests in a second; more are counted. Nobody can push the changes out of
# the log with requests that are refused.
REFUSALS_A_SECOND_MAX = 100

Outcome = Literal["done", "refused", "failed", "would-refuse"]
REFUSED = frozenset(("refused", "would-refuse"))


class AuditRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one request did. `index` is that of the store after it; `why` is set if it failed."""

    at: str
    user: str
    source: str  # cert, password, token, socket or guest
    address: str
    operation: str
    key: str = ""
    index: int = 0
    outcome: Outcome = "done"
    why: str = ""

    def line(self) -> bytes:
        """Return the record as JSON with a newline."""
        return msgspec.json.encode(self) + b"\n"


def beginning(*, user: str, source: str, address: str, operation: str) -> bytes:
    """Return who and what of a record, as the part of its line that repeats."""
    who = {"user": user, "source": source, "address": address, "operation": operation}
    return msgspec.json.encode(who)[1:-1]


def shortened(text: str) -> str:
    """Return what the log keeps of a text that a client sent."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"


class RefusalBudget:
    """Counts refusals; the time is an argument, in seconds."""

    def __init__(self) -> None:
        self._second = 0
        self._left = REFUSALS_A_SECOND_MAX
        self._left_out = 0

    def admits(self, now_s: float) -> bool:
        """Whether a refusal may have a line now."""
        if int(now_s) != self._second:
            self._second, self._left = int(now_s), REFUSALS_A_SECOND_MAX
        self._left -= 1
        if self._left < 0:
            self._left_out += 1
        return self._left >= 0

    def left_out(self) -> int:
        """Return how many had no line since the last call."""
        found, self._left_out = self._left_out, 0
        return found
