from daemonkit.core import text_table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("NAME", "STATE"), ("webapp@1", "ready"), ("db", "")]
    assert text_table.lines(rows) == ["NAME      STATE", "webapp@1  ready", "db"]


def test_a_table_ends_with_a_newline_and_an_empty_table_is_empty() -> None:
    assert text_table.show([("a", "b")]) == "a  b\n"
    assert text_table.show([]) == ""
