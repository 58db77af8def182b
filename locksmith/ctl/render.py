"""Formats the output of `locksmithctl`. Plain forms are byte for byte those of Go's program."""

import json
from collections.abc import Iterable, Mapping

from daemonkit.core import text_table
from daemonkit.core.terminal_text import LINES, printable
from locksmith.core import keys
from locksmith.core.group_state import GroupState, Holder
from locksmith.core.semaphore import Semaphore

COLUMNS = ("MACHINE ID", "HOST", "PHASE", "SINCE", "DAEMON")


def status(found: Semaphore) -> str:
    """Return the output of `status`."""
    lines = [f"Available: {found.free}", f"Max: {found.max}"]
    if found.holders:
        lines += ["", "MACHINE ID", *found.holders]
    return _join_lines(lines)


def status_verbose(state: GroupState) -> str:
    """Return the output of `status -v`: first that of `status`, then everything else."""
    found = state.semaphore
    lines = [f"Available: {found.free}", f"Max: {found.max}"]
    lines += [f"Group: {state.group or '(default)'}"]
    lines += [f"Key: {keys.semaphore(state.group)}{'' if state.exists else ' (not written yet)'}"]
    lines += [f"Hosts: {len(state.hosts)}"]
    if state.holders:
        lines += ["", *text_table.lines([COLUMNS, *map(_row, state.holders)])]
    if state.unreadable:
        lines += ["", *(f"{key} is left out: {why}" for key, why in state.unreadable)]
    return _join_lines(lines)


def new_max(before: Semaphore, after: Semaphore) -> str:
    """Return the output of `set-max`."""
    return _join_lines([f"Old-Max: {before.max}", f"Max: {after.max}"])


def as_json(value: object) -> str:
    """Return the output of a command with `--json`."""
    return printable(json.dumps(value, ensure_ascii=False, indent=2), LINES) + "\n"


def facts(found: Mapping[str, object]) -> str:
    """Return named facts, one per line; a list has one line for each of its parts."""
    lines: list[str] = []
    for name, value in found.items():
        parts = value if isinstance(value, list) else [value]
        title = name.replace("_", " ").capitalize()
        lines += [f"{title}: {part}" for part in parts if part != ""]
    return _join_lines(lines)


def table(found: list[dict[str, object]]) -> str:
    """Return rows as an aligned table; nothing for no rows."""
    if not found:
        return ""
    head = tuple(name.upper() for name in found[0])
    return text_table.show([head, *(tuple(map(str, row.values())) for row in found)])


def quoted(text: str) -> str:
    """Return `text` as Go's %q prints it."""
    return printable(json.dumps(text, ensure_ascii=False))


def _row(holder: Holder) -> tuple[str, ...]:
    record = holder.record
    return (
        holder.id,
        holder.hostname or "unknown",
        record.phase.value if record else "unknown",
        record.since if record else "unknown",
        "alive" if holder.heartbeat else "silent",
    )


def _join_lines(lines: Iterable[str]) -> str:
    return "".join(f"{printable(line)}\n" for line in lines)
