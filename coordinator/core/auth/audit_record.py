"""The lines of the audit log: who did what, from where, and what came of it. They have no values.

    {"at":"2026-01-02T03:04:05.678Z","user":"alice","source":"password","address":"10.0.0.9",
     "operation":"set","key":"/app/x","index":7}

A refusal and a failure have `outcome` and `why`. `index` is that of the store after a change.
"""

from typing import Literal

import msgspec

# What a client sent as a key or a name is cut here; a key of the store may be longer.
TEXT_CHARACTERS_MAX = 512
# Lines about refused requests in a second; more are counted. Nobody can push the changes out of
# the log with requests that are refused.
REFUSALS_A_SECOND_MAX = 100

Outcome = Literal["done", "refused", "failed", "would-refuse"]
REFUSED = frozenset(("refused", "would-refuse"))


_ENCODER = msgspec.json.Encoder()


def encoded(text: str) -> bytes:
    """Return a text in JSON, as much of it as the log keeps."""
    if len(text) > TEXT_CHARACTERS_MAX:
        text = f"{text[:TEXT_CHARACTERS_MAX]}…"
    return _ENCODER.encode(text)


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
