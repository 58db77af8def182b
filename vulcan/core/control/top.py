"""The traffic of frontends and servers in the last ten seconds, as vulcand's API shows it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

import msgspec

from daemonkit.core.samples import Sample
from vulcan.core.balancing.sliding_window import (
    NETWORK_ERRORS,
    SLICE_S,
    SLICES,
    quantile_s,
    split_counts,
)

PERIOD_NS = int(SLICES * SLICE_S * 1e9)
# Up to this many frontends, workers report their windows each second. With more, they report only
# while an operator looks: ten thousand windows a second cost a tenth of a core.
FREE_MAX = 500
WATCHED_S = 10.0
_APPLICATION_ERRORS = frozenset((500,))
QUANTILES = (50.0, 75.0, 95.0, 99.0, 99.9)


@dataclass(slots=True)
class WindowTotals:
    """Responses by status and latencies by bucket, of all workers."""

    codes: dict[int, int] = field(default_factory=dict)
    buckets: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The number of responses."""
        return sum(self.codes.values())

    @property
    def rank(self) -> tuple[float, float, int]:
        """Sort key: the most network errors first, then the most 500s, then the busiest."""
        return (-self.ratio(NETWORK_ERRORS), -self.ratio(_APPLICATION_ERRORS), -self.total)

    def ratio(self, codes: Collection[int]) -> float:
        """Return the share of responses with one of these codes."""
        return sum(self.codes.get(code, 0) for code in codes) / (self.total or 1)

    def stats(self, anomalies: Sequence["Anomaly"] = ()) -> dict[str, object]:
        """Return vulcand's Stats object. Latencies are in nanoseconds."""
        return {
            "Verdict": {"IsBad": bool(anomalies), "Anomalies": list(anomalies) or None},
            "Counters": {
                "Period": PERIOD_NS,
                "NetErrors": sum(self.codes.get(code, 0) for code in NETWORK_ERRORS),
                "Total": self.total,
                "StatusCodes": [{"Code": c, "Count": n} for c, n in sorted(self.codes.items())],
            },
            "LatencyBrackets": [
                {"Quantile": q, "Value": int(quantile_s(self.buckets, q / 100) * 1e9)}
                for q in QUANTILES
            ],
        }


class Anomaly(msgspec.Struct, frozen=True, rename="pascal"):
    """How one server differs from the others, with vulcand's codes."""

    code: int
    message: str


def anomalies(servers: Sequence[WindowTotals]) -> list[list[Anomaly]]:
    """Return how each of a backend's servers differs from the others."""
    found: list[list[Anomaly]] = [[] for _ in servers]
    for code, message, factor, values in (
        (1, "latency", 2.0, [quantile_s(each.buckets, 0.5) for each in servers]),
        (2, "network errors", 1.5, [each.ratio(NETWORK_ERRORS) for each in servers]),
        (3, "application errors", 1.5, [each.ratio(_APPLICATION_ERRORS) for each in servers]),
    ):
        bound = _bound(values) * factor
        for at, value in enumerate(values):
            if value > bound:
                found[at].append(Anomaly(code, f"{message} above the others'"))
    return found


def _bound(values: Sequence[float]) -> float:
    """Return the median plus the median distance from it; infinity for a single server."""
    if len(values) < 2:
        return float("inf")
    # As in vulcand: of an even number of values, the lower one of the middle is the median.
    middle = median_low(values)
    return middle + median_low([abs(value - middle) for value in values])


Windows = Mapping[tuple[str, str], WindowTotals]


def labels(kind: str, name: str, counts: Mapping[int, int]) -> dict[str, str]:
    """Return a window as the labels of a sample. Its value counts the workers with these labels."""
    text = " ".join(f"{key}:{count}" for key, count in sorted(counts.items()))
    return {"kind": kind, "name": name, "counts": text}


def merge_windows(samples: Iterable[Sample]) -> Windows:
    """Add up the windows of all workers, by kind and name."""
    found: dict[tuple[str, str], WindowTotals] = {}
    for sample in samples:
        named = sample.labels
        recent = found.setdefault((named["kind"], named["name"]), WindowTotals())
        pairs = (pair.split(":") for pair in named["counts"].split())
        counts = {int(key): int(count) * int(sample.value) for key, count in pairs}
        for part, whole in zip(split_counts(counts), (recent.codes, recent.buckets), strict=True):
            for key, count in part.items():
                whole[key] = whole.get(key, 0) + count
    return found
