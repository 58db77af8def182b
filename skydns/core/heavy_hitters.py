"""The most frequent items of a stream, in bounded memory (the algorithm of Misra and Gries)."""

COUNTERS_MAX = 512


class HeavyHitters:
    """Counts items. When there are too many, the rare ones are dropped."""

    def __init__(self, counters_max: int = COUNTERS_MAX) -> None:
        self._counters_max = counters_max
        self._counts: dict[bytes, int] = {}

    def count(self, item: bytes, weight: int = 1) -> None:
        """Count an item `weight` times."""
        counts = self._counts
        if item in counts or len(counts) < self._counters_max:
            counts[item] = counts.get(item, 0) + weight
            return
        least = min(weight, *counts.values())
        self._counts = {key: left for key, n in counts.items() if (left := n - least)}
        if weight > least:
            self._counts[item] = weight - least

    def most(self, number: int) -> list[tuple[bytes, int]]:
        """Return the most frequent items, with counts that are never too high."""
        return sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))[:number]

    def halve(self) -> None:
        """Halve all counts, so that recent items count more."""
        self._counts = {key: half for key, n in self._counts.items() if (half := n // 2)}
