"""One thing that the status or the doctor says: a sentence, and the command that explains it."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a finding matters. A problem makes the exit code 1."""

    PROBLEM = "problem"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` is a sentence; `command` shows more, or mends it."""

    severity: Severity
    text: str
    command: str


def problem(text: str, command: str) -> Finding:
    """Return a finding that somebody must act on."""
    return Finding(Severity.PROBLEM, text, command)


def notice(text: str, command: str) -> Finding:
    """Return a finding that explains what is seen, and that may be wanted."""
    return Finding(Severity.NOTICE, text, command)


def plural(count: int, noun: str) -> str:
    """Return `1 host`, `2 hosts`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def ago(seconds: float) -> str:
    """Write a span of time roughly: `40 s`, `5 min`, `3 h`, `12 days`."""
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and unit != "day"):
            count = int(seconds // size)
            return plural(count, unit) if unit == "day" else f"{count} {unit}"
    return f"{max(0, int(seconds))} s"
