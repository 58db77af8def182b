"""One of several that count on one key: `python -m tests.client.contender URL KEY TIMES`."""

import sys

from coordinator.client import AtIndex, CompareFailed, Store, WithValue, connect


def increment(store: Store, key: str, times: int, by_value: bool = False) -> None:
    """Add 1 to the number at `key` so many times, whoever else does."""
    done = 0
    while done < times:
        entry = store.get(key)
        when = WithValue(entry.value) if by_value else AtIndex(entry.modified)
        try:
            store.put(key, str(int(entry.value) + 1), when=when)
        except CompareFailed:
            continue
        done += 1


if __name__ == "__main__":
    with connect(sys.argv[1]) as opened:
        increment(opened, sys.argv[2], int(sys.argv[3]))
