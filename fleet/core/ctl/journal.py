"""Journals of several hosts as one."""

import json
from collections.abc import Iterable


def merge(journals: Iterable[str]) -> list[str]:
    """Return the entries of several journals in the order of time.

    A line that starts with a blank continues the entry before it.
    """
    entries: list[str] = []
    for journal in journals:
        begun = len(entries)
        for line in journal.splitlines(keepends=True):
            if line[0].isspace() and len(entries) > begun:
                entries[-1] += line
            else:
                entries.append(line)
    return sorted(entries, key=lambda entry: entry.partition(" ")[0])


def as_json(entry: str) -> str:
    """Return an entry of a journal as one line of JSON."""
    at, _, rest = entry.partition(" ")
    host, _, rest = rest.partition(" ")
    source, _, text = rest.partition(": ")
    record = {"at": at, "host": host, "from": source, "text": text.removesuffix("\n")}
    return json.dumps(record, ensure_ascii=False) + "\n"
