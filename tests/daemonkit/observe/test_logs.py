"""Log lines are readable, can be parsed, and cannot be forged by a client."""

import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonkit.observe import logs

log = logs.get("part")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_line_has_time_level_component_event_and_fields(stream: io.StringIO) -> None:
    logs.configure("info", "text", stream)
    log.info("zone-loaded", keys=12, index=40, took_s=0.12345678, name="a.b")
    pattern = (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    "
        r"part event=zone-loaded keys=12 index=40 took_s=0\.123457 name=a\.b\n"
    )
    assert re.fullmatch(pattern, stream.getvalue())


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("a\nevent=forged", '"a\\nevent=forged"'),
        ("a\x85b", '"a\\u0085b"'),
        ("a\u2028b", '"a\\u2028b"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("\x9b31m", '"\\u009b31m"'),
        ("\udcff", '"\\udcff"'),
        ("größe", "größe"),
        ("zwei größen", '"zwei größen"'),
        (None, "None"),
        (b"x", "b'x'"),
        (Path("/a"), "/a"),
    ],
)
def test_a_value_is_quoted_when_it_must_be(
    stream: io.StringIO, value: object, written: str
) -> None:
    logs.configure("info", "text", stream)
    log.info("event", key=value)
    assert stream.getvalue().endswith(f" key={written}\n")


@given(st.text(max_size=30))
def test_any_text_is_logged_in_one_line(text: str) -> None:
    for form in ("text", "json"):
        written = io.StringIO()
        logs.configure("info", form, written)
        log.info("event", key=text)
        line = written.getvalue()
        if form == "text":
            assert line[:-1].isprintable()
        assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_records_below_the_level_are_not_written(
    stream: io.StringIO, level: str, count: int
) -> None:
    logs.configure(level, "text", stream)
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert stream.getvalue().count("\n") == count


def failure() -> ValueError:
    try:
        raise ValueError("what was\nwrong")
    except ValueError as error:
        return error


def test_an_exception_is_logged_with_its_traceback(stream: io.StringIO) -> None:
    logs.configure("info", "text", stream)
    log.error("failed", exc=failure(), worker=1)
    first, second, *_ = stream.getvalue().splitlines()
    assert first.endswith('event=failed worker=1 error="ValueError: what was\\nwrong"')
    assert second == "Traceback (most recent call last):"


def test_json_output_has_one_object_per_line(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    log.info("zone-loaded", keys=12, path=Path("/a"), ratio=0.5)
    log.error("failed", exc=failure())
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", first.pop("time"))
    assert first == {
        "level": "info",
        "component": "part",
        "event": "zone-loaded",
        "keys": 12,
        "path": "/a",
        "ratio": 0.5,
    }
    assert second["error"] == "ValueError: what was\nwrong"
    assert "Traceback" in second["traceback"]


def test_a_field_named_like_a_standard_one_is_renamed(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    log.info("elected", time=3, level=7, component="x")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["level_"], line["time_"]) == ("info", 7, 3)
    assert (line["component"], line["component_"]) == ("part", "x")


def test_journald_gets_a_priority_on_each_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        stat = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        logs.configure("debug", "text", journal)
        log.debug("a")
        log.info("b", text="x\u2028y")
        log.warning("c")
        log.error("d", exc=failure())
        journal.seek(0)
        lines = journal.read().split("\n")[:-1]
    assert lines[:3] == [
        "<7>part event=a",
        '<6>part event=b text="x\\u2028y"',
        "<4>part event=c",
    ]
    assert lines[3].startswith("<3>part event=d ")
    assert len(lines) > 5
    assert all(line.startswith("<3>") for line in lines[3:])


def test_lines_for_another_stream_than_the_journal_keep_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    with (tmp_path / "file").open("w+") as file:
        logs.configure("info", "text", file)
        log.info("a")
        file.seek(0)
        assert file.read().startswith("2")


def test_logs_of_libraries_have_the_same_format(stream: io.StringIO) -> None:
    logs.configure("info", "text", stream)
    logging.getLogger("library").warning("%d of %s", 3, "five things")
    assert stream.getvalue().endswith('warning library event="3 of five things"\n')


def test_logs_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text", sys.stderr)
    log.info("here")
    out, err = capsys.readouterr()
    assert (out, "event=here" in err) == ("", True)
