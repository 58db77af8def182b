"""What `locksmithctl` prints. The plain forms are byte for byte those of Go's program."""

import json
from collections.abc import Iterable, Mapping

from locksmith.core import keys
from locksmith.core.group_state import Holder, Picture
from locksmith.core.semaphore import Semaphore

COLUMNS = ("MACHINE ID", "HOST", "PHASE", "SINCE", "DAEMON")


def status(found: Semaphore) -> str:
    """Return the answer of `status`."""
    lines = [f"Available: {found.free}", f"Max: {found.max}"]
    if found.holders:
        lines += ["", "MACHINE ID", *found.holders]
    return _joined(lines)


def status_verbose(picture: Picture) -> str:
    """Return the answer of `status -v`: the plain one's numbers, then what else is known."""
    found = picture.semaphore
    lines = [f"Available: {found.free}", f"Max: {found.max}"]
    lines += [f"Group: {picture.group or '(default)'}"]
    lines += [
        f"Key: {keys.semaphore(picture.group)}{'' if picture.exists else ' (not written yet)'}"
    ]
    lines += [f"Hosts: {len(picture.hosts)}"]
    if picture.holders:
        lines += ["", *_aligned([COLUMNS, *map(_row, picture.holders)])]
    return _joined(lines)


def resized(before: Semaphore, after: Semaphore) -> str:
    """Return the answer of `set-max`."""
    return _joined([f"Old-Max: {before.max}", f"Max: {after.max}"])


def as_json(value: object) -> str:
    """Return the answer of any command with `--json`."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def facts(found: Mapping[str, object]) -> str:
    """Return named facts, one a line; a list has a line for each of its parts."""
    lines: list[str] = []
    for name, value in found.items():
        parts = value if isinstance(value, list) else [value]
        title = name.replace("_", " ").capitalize()
        lines += [f"{title}: {part}" for part in parts if part != ""]
    return _joined(lines)


def rows(found: list[dict[str, object]]) -> str:
    """Return rows as an aligned table; nothing for none."""
    if not found:
        return ""
    head = tuple(name.upper() for name in found[0])
    return _joined(_aligned([head, *(tuple(map(str, row.values())) for row in found)]))


def quoted(text: str) -> str:
    """Return `text` as Go's %q shows it."""
    return json.dumps(text, ensure_ascii=False)


def _row(holder: Holder) -> tuple[str, ...]:
    record = holder.record
    return (
        holder.id,
        holder.hostname or "unknown",
        record.phase.value if record else "unknown",
        record.since if record else "unknown",
        "alive" if holder.heartbeat else "silent",
    )


def _aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
