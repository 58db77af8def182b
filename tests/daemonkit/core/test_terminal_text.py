"""No character of others acts on a terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonkit.core import text_table
from daemonkit.core.terminal_text import LINES, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web-1 Zürich 東京 😀", "web-1 Zürich 東京 😀"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\x1b]52;c;aGk=\x07", "\\u001b]52;c;aGk=\\u0007"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x7f\x9b31m", "\\u007f\\u009b31m"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\udcff", "\\udcff"),
    ],
)
def test_a_character_that_a_terminal_acts_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_text_of_several_lines_keeps_them() -> None:
    assert printable("a\n\tb\x1b", LINES) == "a\n\tb\\u001b"


@given(st.text())
def test_what_is_shown_is_printable_and_json_stays_the_same(text: str) -> None:
    assert printable(text).isprintable()
    document = json.dumps({text: text}, ensure_ascii=False, indent=2)
    assert json.loads(printable(document, LINES)) == {text: text}


def test_no_cell_of_a_table_forges_a_line_or_a_sequence() -> None:
    assert text_table.lines([("NAME", "STATE"), ("x\nevil", "\x1b[0m")]) == [
        "NAME     STATE",
        "x\\nevil  \\u001b[0m",
    ]
