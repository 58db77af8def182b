"""Rows of measurements, and the table that shows them."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

HISTORY = Path(__file__).parent / "history.ndjson"
COMPARISON = Path(__file__).parent.parent / "docs/comparison.md"
MARKS = ("<!-- bench -->\n", "<!-- /bench -->")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
ROUND_S = float(os.environ.get("BENCH_SECONDS", "4"))


class Row(msgspec.Struct, frozen=True):
    """One measurement. `ratio` is our value divided by the peer's; `target` is its bound.

    With `at_most` the target is an upper bound (of a time, a size), otherwise a lower bound. In a
    row without a peer, `peer` is None and the target has the unit of the row.
    """

    area: str
    name: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str
    target: float
    at_most: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        measured = self.ours if self.peer is None else self.ours / self.peer
        return measured <= self.target if self.at_most else measured >= self.target


def alternate(
    ours: Callable[[], float], peer: Callable[[], float], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Measure both in turn, so that other load affects both; return the medians."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def show(rows: Iterable[Row]) -> str:
    """Return the table as text."""
    head = ("area", "what", "ours", "peer", "ratio", "target", "")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def publish(rows: Iterable[Row]) -> None:
    """Write the table between the marks in docs/comparison.md."""
    head = ("area", "what", "ours", "peer", "ratio", "target", "")
    lines = [head, ("---",) * len(head), *(_cells(row) for row in rows)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    before, begin, rest = COMPARISON.read_text().partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise ValueError(f"{COMPARISON}: no table between {MARKS[0].strip()} and {MARKS[1]}")
    COMPARISON.write_text(before + begin + table + end + after)


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≤" if row.at_most else "≥"
    return (
        row.area,
        row.name,
        f"{_number(row.ours)} {row.unit}",
        "-" if row.peer is None else f"{row.peer_name} {_number(row.peer)}",
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        f"{sign} {row.target:g}" + (f" {row.unit}" if row.peer is None else "×"),
        "ok" if row.holds else "MISSED",
    )


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def remember(rows: Iterable[Row]) -> None:
    """Append each row as a line of JSON to the history."""
    machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with HISTORY.open("a") as history:
        for row in rows:
            line = {"time": when, **msgspec.to_builtins(row), "ratio": row.ratio, **machine}
            history.write(json.dumps(line, ensure_ascii=False) + "\n")
