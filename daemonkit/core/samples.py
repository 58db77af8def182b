"""Metrics as plain numbers.

Hot paths count in plain integers; a daemon turns them into samples when asked. Worker processes
send theirs to the supervisor, which adds them up.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One number at one moment. A counter's name ends in `_total`.

    A histogram is samples of one name with `_bucket` (and the label `le`), `_sum` and `_count`.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    value: float
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        # Python accepts True as a number; the decoder of a worker's samples does not.
        if isinstance(self.value, bool):
            msgspec.structs.force_setattr(self, "value", float(self.value))


def total(groups: Iterable[Iterable[Sample]]) -> list[Sample]:
    """Add up samples of equal name and labels."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for group in groups:
        for sample in group:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            before = sums.get(key)
            value = sample.value + (before.value if before else 0.0)
            sums[key] = msgspec.structs.replace(sample, value=value)
    return list(sums.values())
