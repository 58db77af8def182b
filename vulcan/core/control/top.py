"""What frontends and servers did in the last ten seconds, as vulcand's API shows it."""

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
# Up to so many frontends, workers tell their windows each second; of more, only while somebody
# looks, for ten thousand windows a second cost a tenth of a core.
FREE_MAX = 500
WATCHED_S = 10.0
_APPLICATION_ERRORS = frozenset((500,))
QUANTILES = (50.0, 75.0, 95.0, 99.0, 99.9)


@dataclass(slots=True)
class WindowTotals:
    """Answers by status and latencies by bucket, of all workers."""

    codes: dict[int, int] = field(default_factory=dict)
    buckets: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many answers there were."""
        return sum(self.codes.values())

    @property
    def rank(self) -> tuple[float, float, int]:
        """Sorts what needs a look first: network errors, then 500s, then the busiest."""
        return (-self.ratio(NETWORK_ERRORS), -self.ratio(_APPLICATION_ERRORS), -self.total)

    def ratio(self, codes: Collection[int]) -> float:
        """Return which part of the answers had one of these codes."""
        return sum(self.codes.get(code, 0) for code in codes) / (self.total or 1)

    def stats(self, anomalies: Sequence["Anomaly"] = ()) -> dict[str, object]:
        """Return vulcand's Stats object; latencies are nanoseconds."""
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
    """How one server stands out, with vulcand's codes."""

    code: int
    message: str


def anomalies(servers: Sequence[WindowTotals]) -> list[list[Anomaly]]:
    """Return how each of a backend's servers stands out among the others."""
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
    """The median and the median distance from it; of two servers the better one, of one none."""
    if len(values) < 2:
        return float("inf")
    # As vulcand, so that of an even number the lower one of the middle counts.
    middle = median_low(values)
    return middle + median_low([abs(value - middle) for value in values])


Windows = Mapping[tuple[str, str], WindowTotals]


def labels(kind: str, name: str, counts: Mapping[int, int]) -> dict[str, str]:
    """Return a window as the labels of one sample, whose value is how many workers say so."""
    text = " ".join(f"{key}:{count}" for key, count in sorted(counts.items()))
    return {"kind": kind, "name": name, "counts": text}


def merge_windows(samples: Iterable[Sample]) -> Windows:
    """Add up the windows that workers sent, by kind and name."""
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
