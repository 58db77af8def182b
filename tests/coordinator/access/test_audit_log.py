import asyncio
import json
import resource
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from coordinator.core.auth import audit_record
from coordinator.server.access import audit_file, audit_log
from coordinator.server.access.audit_file import AuditFile
from coordinator.server.access.audit_log import AuditLog

Case = Callable[[AuditLog], Coroutine[Any, Any, None]]
WHO = {"user": "alice", "source": "password", "address": "10.0.0.1"}


def run(directory: Path, case: Case) -> list[dict[str, Any]]:
    """Run a case and return the lines of the file."""

    async def main() -> None:
        log = AuditLog(directory)
        try:
            await case(log)
        finally:
            log.close()

    asyncio.run(main())
    return lines(directory / "audit.log")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_record_says_who_from_where_what_and_what_came_of_it(tmp_path: Path):
    async def case(log: AuditLog) -> None:
        log.record("set", key="/a", index=7, **WHO)
        log.record("get", key="/b", outcome="refused", why="no right to read", **WHO)

    first, second = run(tmp_path, case)
    assert first.pop("at").endswith("Z")
    assert first == WHO | {"operation": "set", "key": "/a", "index": 7}
    assert second["outcome"] == "refused"
    assert second["why"] == "no right to read"
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_there_is_no_file_before_the_first_record(tmp_path: Path):
    async def main() -> None:
        AuditLog(tmp_path).close()

    asyncio.run(main())
    assert not [*tmp_path.iterdir()]


def test_a_line_is_in_the_file_in_the_next_turn_of_the_loop(tmp_path: Path):
    async def case(log: AuditLog) -> None:
        log.record("set", key="/a", **WHO)
        await asyncio.sleep(0)
        assert len(lines(tmp_path / "audit.log")) == 1

    run(tmp_path, case)


def test_a_change_has_the_same_line_whatever_its_key(tmp_path: Path):
    keys = [b"/a", b'/"\\\n\x00', "/ü\u2028".encode(), b"/\xff", b"/" + b"x" * 5000]

    async def case(log: AuditLog) -> None:
        for key in keys:
            log.change(audit_log.caller('al"ice', "cert", "::1"), "set", key, 7)

    found = run(tmp_path, case)
    shown = [line["key"] for line in found]
    assert shown[:4] == ["/a", '/"\\\n\x00', "/ü\u2028", "/\ufffd"]
    assert len(shown[4]) == audit_record.TEXT_CHARACTERS_MAX + 1
    assert {(line["user"], line["operation"], line["index"]) for line in found} == {
        ('al"ice', "set", 7)
    }


def test_what_a_client_sends_is_cut(tmp_path: Path):
    async def case(log: AuditLog) -> None:
        log.record("get", key="/" + "x" * 100_000, outcome="refused", **WHO)

    (line,) = run(tmp_path, case)
    assert len(line["key"]) == audit_record.TEXT_CHARACTERS_MAX + 1


def test_a_flood_of_refusals_is_counted_and_hides_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit_record, "REFUSALS_A_SECOND_MAX", 5)

    async def case(log: AuditLog) -> None:
        for _ in range(1000):
            log.record("get", key="/x", outcome="refused", **WHO)
        log.record("set", key="/y", **WHO)

    found = run(tmp_path, case)
    assert len(found) < 20
    assert found[-1]["operation"] == "set"
    told = sum(line.get("refused_too", 0) for line in found)
    assert told + sum(line.get("outcome") == "refused" for line in found) == 1000


def test_the_files_are_bounded_and_the_newest_lines_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit_file, "FILE_BYTES_MAX", 1000)
    monkeypatch.setattr(audit_file, "FILES_MAX", 3)
    file = AuditFile(tmp_path / "audit.log")
    for number in range(200):
        file.append([b'{"n":%d,"x":"%b"}\n' % (number, b"x" * 80)], 0.0)
    file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["audit.log", "audit.log.1", "audit.log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    kept = [line["n"] for name in reversed(names) for line in lines(tmp_path / name)]
    assert kept == [*range(kept[0], 200)]
    assert len(kept) > 20


def test_a_full_disk_costs_lines_and_not_the_member(tmp_path: Path):
    file = AuditFile(tmp_path / "audit.log")
    file.append([b'{"n":1}\n'], 0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        file.append([b'{"n":2,"x":"xxxxxxxxxxxx"}\n'], 1.0)
        file.append([b'{"n":3,"x":"xxxxxxxxxxxx"}\n'], 2.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert lines(tmp_path / "audit.log") == [{"n": 1}]
    file.append([b'{"n":4}\n'], 3.0)
    file.close()
    assert lines(tmp_path / "audit.log") == [{"n": 1}, {"lost": 2}, {"n": 4}]
    assert file.lost == 2


def test_a_line_that_a_power_cut_broke_spoils_no_other(tmp_path: Path):
    (tmp_path / "audit.log").write_bytes(b'{"n":1}\n{"n":')
    file = AuditFile(tmp_path / "audit.log")
    file.append([b'{"n":3}\n'], 0.0)
    file.close()
    assert (tmp_path / "audit.log").read_bytes().splitlines()[1:] == [b'{"n":', b'{"n":3}']


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path):
    (tmp_path / "target").touch()
    (tmp_path / "audit.log").symlink_to(tmp_path / "target")
    file = AuditFile(tmp_path / "audit.log")
    file.append([b"x\n"], 0.0)
    file.close()
    assert file.lost == 1
    assert (tmp_path / "target").read_bytes() == b""


def test_a_reader_that_is_behind_is_told_how_much_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit_log, "RECENT_LINES_MAX", 4)

    async def case(log: AuditLog) -> None:
        for number in range(10):
            log.record("set", key=f"/{number}", **WHO)
        await asyncio.sleep(0)
        missed, text, position = log.read(3)
        assert (missed, position) == (3, 10)
        assert [json.loads(line)["key"] for line in text.splitlines()] == ["/6", "/7", "/8", "/9"]
        assert log.read(10) == (0, b"", 10)
        assert log.read(9)[1].count(b"\n") == 1

    run(tmp_path, case)
