"""The pauses between attempts to reach a store."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.backoff import FIRST_S, LONGEST_S, pause_s


@given(st.integers(1, 1_000_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_bounded_and_never_zero(failures: int, roll: float) -> None:
    assert FIRST_S / 2 <= pause_s(failures, roll) <= LONGEST_S


def test_pauses_double_and_are_randomized() -> None:
    assert [pause_s(n, 0.0) for n in (1, 2, 3)] == [FIRST_S / 2, FIRST_S, FIRST_S * 2]
    assert pause_s(1, 0.5) > pause_s(1, 0.0)
