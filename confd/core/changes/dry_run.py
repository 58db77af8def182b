"""What a run would change, shown as a diff."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from confd.core.changes.candidate import Candidate, CandidateFile, FileState
from daemonkit.core.terminal_text import printable

# The time of a diff grows with the square of the lines. A larger file is shown by its size only.
LINES_MAX = 5000
CONTEXT_LINES = 3
_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_PLAIN = "\x1b[0m"

# Returns the owner and group of a file as a user reads them: "root:root".
OwnerOf = Callable[[FileState], str]


@dataclass(frozen=True, slots=True)
class DryRun:
    """The text to print, and how many changes and failures it describes."""

    text: str
    changes: int
    failures: int


def dry_run(candidates: Iterable[Candidate], owner_of: OwnerOf, *, colour: bool) -> DryRun:
    """Describe what would change, and what cannot be rendered."""
    lines: list[str] = []
    changes = failures = 0
    for candidate in candidates:
        if candidate.error:
            failures += 1
            lines.append(f"{candidate.resource.name}: {candidate.error}")
            continue
        changes += len(candidate.changed) + len(candidate.stale)
        for file in candidate.changed:
            lines += _difference(file, owner_of)
        lines += [f"would remove {dest}" for dest in candidate.stale]
    safe = (printable(line, "\t") for line in lines)
    shown = (_coloured(line) if colour else line for line in safe)
    return DryRun("".join(f"{line}\n" for line in shown), changes, failures)


def _difference(file: CandidateFile, owner_of: OwnerOf) -> Iterator[str]:
    current, desired = file.current, file.desired
    new_access = f"{desired.mode:04o} {owner_of(desired)}"
    if current is None:
        yield f"would write {file.dest} ({new_access})"
    elif (old_access := f"{current.mode:04o} {owner_of(current)}") != new_access:
        yield f"would change {file.dest} from {old_access} to {new_access}"
    old = _lines(current.content if current else b"")
    new = _lines(desired.content)
    if max(len(old), len(new)) > LINES_MAX:
        yield f"would write {file.dest}: {len(old)} lines become {len(new)}"
        return
    start = "/dev/null" if current is None else file.dest
    yield from difflib.unified_diff(old, new, start, file.dest, lineterm="", n=CONTEXT_LINES)


def _lines(content: bytes) -> list[str]:
    text = content.decode(errors="backslashreplace")
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], lines[-1] + " (no newline at the end)"]


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return f"{colour}{line}{_PLAIN}" if colour else line
