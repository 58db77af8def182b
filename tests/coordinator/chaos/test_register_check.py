"""The check of the histories: what it must accept, and what it must reject."""

import math
import random

from tests.coordinator.chaos.register_check import KEPT, UNSEEN, Operation, unexplained


def write(start: float, end: float, value: str, sees: str | None = UNSEEN) -> Operation:
    return Operation(start, end, sees, value)


def read(start: float, end: float, value: str | None) -> Operation:
    return Operation(start, end, value, KEPT)


def test_reads_during_a_write_may_see_either_value_but_not_go_back() -> None:
    during = [write(0, 1, "a"), write(2, 9, "b")]
    assert not unexplained([*during, read(3, 4, "a"), read(5, 6, "b")])
    assert unexplained([*during, read(3, 4, "b"), read(5, 6, "a")])


def test_a_stale_read_is_found() -> None:
    stale = read(4, 5, "a")
    assert unexplained([write(0, 1, "a"), write(2, 3, "b"), stale]) == [stale]


def test_a_lost_write_is_found() -> None:
    assert unexplained([write(0, 1, "a"), read(2, 3, None)])


def test_an_open_write_may_happen_late_or_never_but_once() -> None:
    opened = [write(0, 1, "a"), write(2, math.inf, "b")]
    assert not unexplained([*opened, read(3, 4, "a"), read(5, 6, "a")])
    assert not unexplained([*opened, read(3, 4, "a"), read(5, 6, "b")])
    assert unexplained([*opened, read(3, 4, "b"), write(5, 6, "c"), read(7, 8, "b")])


def test_two_swaps_of_the_same_value_cannot_both_succeed() -> None:
    both = [write(2, 5, "b", sees="a"), write(3, 6, "c", sees="a")]
    assert unexplained([write(0, 1, "a"), *both])
    assert not unexplained([write(0, 1, "a"), both[0]])


def test_a_long_history_of_many_clients_is_judged_in_reasonable_time() -> None:
    rng = random.Random(1)
    value, history = None, []
    for moment in range(3000):
        start, end = moment - rng.uniform(0, 8), moment + rng.uniform(0, 8)
        if rng.random() < 0.5:
            history.append(read(start, end, value))
            continue
        held, value = value, str(moment)
        known = rng.random() < 0.98
        history.append(write(start, end if known else math.inf, value, held if known else UNSEEN))
    assert not unexplained(history)
    assert unexplained([*history, read(3020, 3021, None)])
