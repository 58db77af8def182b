"""The journals of several hosts as one."""

import json

from fleet.core.ctl import journal

ONE = (
    "2026-11-23T10:00:00.100000+0000 h1 web[7]: begins\n"
    "2026-11-23T10:00:02.000000+0000 h1 web[7]: Traceback:\n"
    "                                           line 1: and more\n"
    "\n"
)
TWO = "2026-11-23T10:00:01.500000+0000 h2 web[9]: between: them\n"


def test_entries_of_all_hosts_are_sorted_by_time_and_keep_their_lines() -> None:
    entries = journal.merge([ONE, "", TWO])
    assert [entry.split()[1] for entry in entries] == ["h1", "h2", "h1"]
    assert "".join(entries).count("\n") == 5
    assert entries[2].endswith("and more\n\n")


def test_an_entry_is_one_line_of_json() -> None:
    (entry,) = journal.merge([TWO])
    assert json.loads(journal.as_json(entry)) == {
        "at": "2026-11-23T10:00:01.500000+0000",
        "host": "h2",
        "from": "web[9]",
        "text": "between: them",
    }
