"""What is asked most, in bounded memory: the frequent items of a stream (Misra and Gries)."""

ROOM = 512


class Top:
    """Counts names; those that are rare make room for each other."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._counts: dict[bytes, int] = {}

    def count(self, item: bytes, weight: int = 1) -> None:
        """Count an item `weight` times."""
        counts = self._counts
        if item in counts or len(counts) < self._room:
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
        """Let the past count for less."""
        self._counts = {key: half for key, n in self._counts.items() if (half := n // 2)}
