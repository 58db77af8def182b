"""What waits in a replica, and for how long."""

from coordinator.core.replica.pending import Outcomes, ReadIndexQueue
from coordinator.core.store.api_errors import ClusterUnavailable

LATE = ClusterUnavailable("late")


class Client:
    """Waits for an outcome."""

    def answer(self, outcome: object) -> None:
        raise AssertionError(f"nobody answers here, but {outcome} came")


def test_a_read_whose_index_is_known_but_never_applied_is_answered_too() -> None:
    outcomes: Outcomes = []
    reads, old, young = ReadIndexQueue(0, outcomes), Client(), Client()
    reads.waiting.append((old, 10))
    reads.answered(reads.ask(), index=7)
    reads.waiting.append((young, 20))
    reads.answered(reads.ask(), index=8)
    reads.release(6)
    reads.expire(15, LATE)
    assert outcomes == [(old, LATE)]
    reads.release(8)
    assert outcomes == [(old, LATE), (young, None)]


def test_a_read_that_is_asked_again_does_not_take_younger_ones_with_it() -> None:
    outcomes: Outcomes = []
    reads, old, young = ReadIndexQueue(0, outcomes), Client(), Client()
    reads.waiting.append((old, 10))
    reads.ask()
    reads.waiting.append((young, 20))
    reads.ask_again()
    context = reads.ask()
    reads.expire(15, LATE)
    assert outcomes == [(old, LATE)]
    reads.answered(context, index=7)
    reads.release(7)
    assert outcomes == [(old, LATE), (young, None)]
