"""One answer of the doctor: a subject, a verdict, a sentence, and the remedy."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from daemonkit.core.terminal_text import printable


class Verdict(Enum):
    """How a subject is. Only a failure makes the exit code 1."""

    FAIL = "fail"
    WARN = "warn"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`remedy` is what to do; a subject that is well needs none."""

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Diagnosis:
    """Return that a subject is well."""
    return Diagnosis(subject, Verdict.OK, text)


def warn(subject: str, text: str, remedy: str) -> Diagnosis:
    """Return that a subject may soon fail, or could not be examined."""
    return Diagnosis(subject, Verdict.WARN, text, remedy)


def fail(subject: str, text: str, remedy: str) -> Diagnosis:
    """Return that a subject is not well."""
    return Diagnosis(subject, Verdict.FAIL, text, remedy)


def sorted_by_verdict(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return failures first, then warnings; within a verdict the order stays."""
    order = list(Verdict)
    return sorted(found, key=lambda each: order.index(each.verdict))


def is_failed(found: Iterable[Diagnosis]) -> bool:
    """Return whether anything fails."""
    return any(each.verdict is Verdict.FAIL for each in found)


def lines(found: Sequence[Diagnosis]) -> Iterator[str]:
    """Yield the lines for a terminal: a remedy stands below what it mends."""
    width = max((len(each.subject) for each in found), default=0)
    for each in found:
        yield printable(f"{each.verdict.value:<4}  {each.subject:<{width}}  {each.text}")
        if each.remedy:
            yield printable(f"{'':<{width + 8}}→ {each.remedy}")
    counts = {verdict: sum(each.verdict is verdict for each in found) for verdict in Verdict}
    yield ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items())


def as_json(found: Sequence[Diagnosis]) -> str:
    """Return the diagnoses as one JSON document."""
    document = {"healthy": not is_failed(found), "checks": found}
    return msgspec.json.encode(document).decode()
