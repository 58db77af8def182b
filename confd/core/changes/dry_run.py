"""What a run would change, as a diff."""

import difflib
import grp
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from confd.apply.files import Wanted
from confd.core.changes.candidate import Draft, Drafted

# A diff takes time with the square of the lines; a file of more is shown by its size.
LINES_MAX = 5000
CONTEXT_LINES = 3
_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_PLAIN = "\x1b[0m"
# What would change how a terminal shows the rest.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}


@dataclass(frozen=True, slots=True)
class Report:
    """The text to show, and what there was to say."""

    text: str
    changes: int
    failures: int


def report(found: Iterable[Drafted], *, colour: bool) -> Report:
    """Show what would change, and what cannot be rendered."""
    lines: list[str] = []
    changes = failures = 0
    for each in found:
        if each.error:
            failures += 1
            lines.append(f"{each.resource.name}: {each.error}")
            continue
        changes += len(each.changed) + len(each.stale)
        for draft in each.changed:
            lines += difference(draft)
        lines += [f"would remove {dest}" for dest in each.stale]
    shown = (_coloured(line) if colour else line for line in lines)
    return Report("".join(f"{line}\n" for line in shown), changes, failures)


def difference(draft: Draft) -> Iterator[str]:
    """Yield the lines of a unified diff, and what changes of mode and owner."""
    before, want = draft.before, draft.want
    if before is None:
        yield f"would write {draft.dest} ({_access(want)})"
    elif _access(before) != _access(want):
        yield f"would change {draft.dest} from {_access(before)} to {_access(want)}"
    old = _lines(before.content if before else b"")
    new = _lines(want.content)
    if max(len(old), len(new)) > LINES_MAX:
        yield f"would write {draft.dest}: {len(old)} lines become {len(new)}"
        return
    start = "/dev/null" if before is None else draft.dest
    yield from difflib.unified_diff(old, new, start, draft.dest, lineterm="", n=CONTEXT_LINES)


def _lines(content: bytes) -> list[str]:
    text = content.decode(errors="backslashreplace")
    lines = [line.translate(_CONTROL) for line in text.split("\n")]
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], lines[-1] + " (no newline at the end)"]


def _access(want: Wanted) -> str:
    try:
        owner, group = pwd.getpwuid(want.uid).pw_name, grp.getgrgid(want.gid).gr_name
    except KeyError:
        owner, group = str(want.uid), str(want.gid)
    return f"{want.mode:04o} {owner}:{group}"


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return f"{colour}{line}{_PLAIN}" if colour else line
