"""What every process counts about its own faults and limits, whichever daemon it is.

A request must not be able to end a process, whatever it makes our code raise. The code that calls
into an application for one client catches its exceptions and passes them to `record_error`, which
counts each of them, and logs the first of each place with its traceback.
"""

import time
from collections import Counter
from collections.abc import Iterator
from types import TracebackType

from daemonkit.core.samples import Sample
from daemonkit.observe import logs

# An error that comes again is logged again after this time.
LOG_AGAIN_S = 60.0
_OWN = frozenset(
    ("coordinator", "daemonkit", "locksmith", "skydns", "confd", "vulcan", "fleet", "slashetc")
)

# Each metric with its label and its text.
ERRORS = (
    "internal_errors_total",
    "place",
    "Errors inside the program that ended a request, by the function that raised them.",
)
CUT = (
    "connections_cut_total",
    "why",
    "Connections that were closed to make room for others, by the reason.",
)

_log = logs.get("internal")
_errors: Counter[str] = Counter()
_logged_s: dict[str, float] = {}
_cut: Counter[str] = Counter()


def record_error(error: Exception, **about: object) -> None:
    """Count an error, and log it unless the same place raised one a moment ago."""
    place = _place(error.__traceback__)
    _errors[place] += 1
    now_s = time.monotonic()
    if now_s - _logged_s.get(place, -LOG_AGAIN_S) >= LOG_AGAIN_S:
        _logged_s[place] = now_s
        _log.error("internal-error", exc=error, place=place, count=_errors[place], **about)


def count_cut(why: str) -> None:
    """Count a connection that was closed to make room for others."""
    _cut[why] += 1


def samples() -> Iterator[Sample]:
    """Yield what this process has counted."""
    for (name, label, text), counts in ((ERRORS, _errors), (CUT, _cut)):
        for value, count in counts.items():
            yield Sample(name, "counter", text, count, {label: value})


def _place(traceback: TracebackType | None) -> str:
    """Return the innermost function of ours. There are only as many as the code has functions."""
    place = "unknown"
    while traceback is not None:
        frame = traceback.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in _OWN:
            place = f"{module}.{frame.f_code.co_name}"
        traceback = traceback.tb_next
    return place
