"""The check of histories is itself correct."""

import pytest

from tests.coordinator.simulation.linearizability import ANY, MISSING, NEVER, Operation, explained


def write(start: int, end: int, value: bytes, sees: bytes = ANY) -> Operation:
    return Operation(start, end, sees, value)


def read(start: int, end: int, value: bytes) -> Operation:
    return Operation(start, end, value, None)


def test_reads_may_see_concurrent_writes_in_either_order() -> None:
    writes = [write(0, 10, b"a"), write(0, 10, b"b")]
    assert explained([*writes, read(11, 12, b"a")])
    assert explained([*writes, read(11, 12, b"b")])


@pytest.mark.parametrize(
    "history",
    [
        [write(0, 1, b"a"), read(2, 3, MISSING)],
        [write(0, 1, b"a"), write(2, 3, b"b"), read(4, 5, b"a")],
        [write(0, 9, b"a"), read(1, 2, b"a"), read(3, 4, MISSING)],
        [write(0, 1, b"a"), write(2, 3, b"c", sees=b"b")],
        [write(0, 1, b"a"), write(2, NEVER, b"b"), read(3, 4, b"b"), read(5, 6, b"a")],
    ],
)
def test_a_history_that_is_not_linearizable_is_found(history: list[Operation]) -> None:
    assert not explained(history)


def test_an_unknown_outcome_may_take_effect_late_or_never() -> None:
    lost = write(0, NEVER, b"x")
    assert explained([lost, write(1, 2, b"a"), read(3, 4, b"a")])
    assert explained([lost, write(1, 2, b"a"), read(3, 4, b"a"), read(5, 6, b"x")])


def test_a_swap_sees_the_value_that_it_replaces() -> None:
    assert explained([write(0, 1, b"a", MISSING), write(1, 2, b"b", b"a"), read(3, 4, b"b")])
