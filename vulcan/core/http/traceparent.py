"""Trace context (https://www.w3.org/TR/trace-context/): a client's trace, and new spans in it."""

import re

# Section 3.2: version, trace, parent and flags; an id of zeros only is invalid.
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
_SPAN_MASK = 0xFFFFFFFFFFFFFFFF


def parse_traceparent(value: bytes) -> bytes:
    """Return trace id and flags as `TRACE-FLAGS`, empty when the value is malformed."""
    match = _TRACEPARENT.fullmatch(value)
    return b"%b-%b" % match.groups() if match else b""


class TraceparentSource:
    """Gives every request to a server a span of its own."""

    __slots__ = ("_count", "_seed", "_trace_start")

    def __init__(self, seed: int, trace_start: int) -> None:
        self._seed = seed
        self._trace_start = b"%016x" % trace_start
        self._count = 0

    def next(self, client_trace: bytes) -> bytes:
        """Return the next traceparent: in the client's trace, or in a new one without a client's.

        `client_trace` is what `parse_traceparent` returned.
        """
        self._count += 1
        span = (self._seed + self._count) & _SPAN_MASK or 1
        if client_trace:
            return b"00-%b-%016x-%b" % (client_trace[:32], span, client_trace[33:])
        digits = b"%016x" % span
        return b"00-%b%b-%b-00" % (self._trace_start, digits, digits)
