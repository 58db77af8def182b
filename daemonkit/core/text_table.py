"""Tables in a terminal: columns aligned by spaces, as `systemctl` and `kubectl` print them."""

from collections.abc import Iterable, Sequence

from daemonkit.core.terminal_text import printable


def lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return one line for each row, its cells padded to the width of their column.

    All rows have the same number of cells; the first row is often the head. Two spaces separate
    columns and no line ends in a space. A cell cannot act on the terminal.
    """
    cells = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def show(rows: Iterable[Sequence[str]]) -> str:
    """Return the lines as one text, empty without rows."""
    return "".join(f"{line}\n" for line in lines(rows))
