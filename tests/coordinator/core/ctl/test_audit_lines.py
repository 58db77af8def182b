import json
from typing import Any

import pytest

from coordinator.core.ctl import audit_lines
from coordinator.core.ctl.audit_lines import AuditEntry, SeenLines

DONE = {
    "at": "2026-01-02T03:04:05.678Z",
    "user": "alice",
    "source": "password",
    "address": "10.0.0.9",
    "operation": "set",
    "key": "/app/x",
    "index": 7,
}


def entry(**about: Any) -> AuditEntry:
    found = audit_lines.parse(json.dumps(DONE | about).encode(), "http://h1:2379")
    assert found is not None
    return found


def test_a_record_is_one_line_with_who_from_where_what_and_the_outcome():
    assert audit_lines.text(entry()) == (
        "2026-01-02T03:04:05.678Z http://h1:2379 alice (password) from 10.0.0.9: set /app/x done "
        "index=7"
    )
    refused = entry(
        outcome="refused", index=0, why="no right to write", address="", source="socket"
    )
    assert audit_lines.text(refused).endswith(
        "alice (socket) from this host: set /app/x refused: no right to write"
    )


def test_a_key_cannot_forge_a_line_or_command_a_terminal():
    shown = audit_lines.text(entry(key="/a\n2026 root: done\x1b]52;c;x\x07"))
    assert shown.isprintable()


def test_counts_of_what_has_no_line_are_told():
    for name in ("missed", "lost", "refused_too"):
        found = audit_lines.parse(json.dumps({name: 5}).encode(), "h1")
        assert found is not None
        assert audit_lines.text(found).startswith("h1: 5 ")


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b'{"at":1}', b"[" * 5000])
def test_what_is_no_record_is_left_out(line: bytes):
    assert audit_lines.parse(line, "h1") is None


def test_records_of_several_members_are_in_the_order_of_their_times():
    early, late = entry(at="2026-01-01T00:00:00Z"), entry()
    count = AuditEntry(lost=3)
    assert audit_lines.in_order([late, early, count]) == [early, count, late]


def test_a_line_that_comes_again_is_recognized(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audit_lines, "SEEN_MAX", 2)
    seen = SeenLines()
    assert [seen.is_new(line) for line in (b"a", b"b", b"a", b"c", b"a")] == [
        True, True, False, True, True,
    ]  # fmt: skip
