"""One of several processes that count on one key.

`python -m tests.coordinator.client.cas_contender URL KEY TIMES`
"""

import random
import sys
import time

from coordinator.client import AtIndex, CompareFailed, Store, WithValue, connect

# Who loses steps back, so that of sixteen most tries are not in vain.
PAUSE_S = 0.004
LOST_MAX = 8


def increment(store: Store, key: str, times: int, by_value: bool = False) -> None:
    """Add 1 to the number at `key` so many times, whoever else does."""
    done = lost = 0
    while done < times:
        time.sleep(random.random() * PAUSE_S * min(lost, LOST_MAX))
        entry = store.get(key)
        when = WithValue(entry.value) if by_value else AtIndex(entry.modified)
        try:
            store.put(key, str(int(entry.value) + 1), when=when)
        except CompareFailed:
            lost += 1
            continue
        done, lost = done + 1, 0


if __name__ == "__main__":
    with connect(sys.argv[1]) as opened:
        increment(opened, sys.argv[2], int(sys.argv[3]))
