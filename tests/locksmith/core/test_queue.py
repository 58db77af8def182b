"""The wait queue."""

from locksmith.core import queue
from locksmith.core.queue import Waiter


def test_queue_is_ordered_by_priority_then_arrival() -> None:
    line = [Waiter("c", 0, 3), Waiter("a", 0, 5), Waiter("z", 9, 8)]
    assert [waiter.id for waiter in queue.ordered(line)] == ["z", "c", "a"]
    assert queue.position(line, "a") == 2
    assert queue.position(line, "nobody") is None
