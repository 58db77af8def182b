"""How coordctl prints the audit log: one line for each record, in the order of their times."""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from daemonkit.core.terminal_text import printable

# Lines of a member that are recognized when its stream begins again.
SEEN_MAX = 8192


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record, with the member that wrote it, or a count of records that have no line."""

    at: str = ""
    member: str = ""
    user: str = ""
    source: str = ""
    address: str = ""
    operation: str = ""
    key: str = ""
    index: int = 0
    outcome: str = "done"
    why: str = ""
    missed: int = 0
    lost: int = 0
    refused_too: int = 0


def parse(line: bytes, member: str) -> AuditEntry | None:
    """Read one line of a member; None for one that says nothing or that has another form."""
    try:
        entry = msgspec.json.decode(line, type=AuditEntry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.structs.replace(entry, member=member)


def in_order(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    """Return entries by their times; one without a time stays behind the one before it."""
    last, dated = "", []
    for entry in entries:
        last = entry.at or last
        dated.append((last, entry))
    return [entry for _, entry in sorted(dated, key=lambda each: each[0])]


def text(entry: AuditEntry) -> str:
    """Return the line that coordctl prints: one, whatever a client sent as a key or a name."""
    return printable(_text(entry))


def _text(entry: AuditEntry) -> str:
    counts = {
        "lines were overwritten before they could be read": entry.missed,
        "lines were lost, because the disk was full or failed": entry.lost,
        "more refusals have no line": entry.refused_too,
    }
    for what, count in counts.items():
        if count:
            return f"{entry.member}: {count} {what}"
    who = f"{entry.user} ({entry.source})" if entry.source else entry.user
    place = f" {entry.key}" if entry.key else ""
    index = f" index={entry.index}" if entry.index else ""
    why = f": {entry.why}" if entry.why else ""
    return (
        f"{entry.at} {entry.member} {who} from {entry.address or 'this host'}: "
        f"{entry.operation}{place} {entry.outcome}{index}{why}"
    )


class SeenLines:
    """Recognizes the lines that a stream sends again after it was broken off."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def is_new(self, line: bytes) -> bool:
        """Whether this line comes for the first time."""
        if line in self._seen:
            return False
        self._seen[line] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return True
