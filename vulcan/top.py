"""What frontends and servers did in the last ten seconds, as vulcand's API shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from daemonkit.metrics import Sample
from vulcan.stats import NETWORK_ERRORS, SLICE_S, SLICES, latency_at

PERIOD_NS = int(SLICES * SLICE_S * 1e9)
QUANTILES = (50.0, 75.0, 95.0, 99.0, 99.9)


@dataclass(slots=True)
class Recent:
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
        total = self.total or 1
        network = sum(self.codes.get(code, 0) for code in NETWORK_ERRORS) / total
        return (-network, -self.codes.get(500, 0) / total, -self.total)

    def stats(self) -> dict[str, object]:
        """Return vulcand's Stats object; latencies are nanoseconds."""
        return {
            "Verdict": {"IsBad": False, "Anomalies": None},
            "Counters": {
                "Period": PERIOD_NS,
                "NetErrors": sum(self.codes.get(code, 0) for code in NETWORK_ERRORS),
                "Total": self.total,
                "StatusCodes": [{"Code": c, "Count": n} for c, n in sorted(self.codes.items())],
            },
            "LatencyBrackets": [
                {"Quantile": q, "Value": int(latency_at(self.buckets, q / 100) * 1e9)}
                for q in QUANTILES
            ],
        }


Windows = Mapping[tuple[str, str], Recent]


def gathered(samples: Iterable[Sample]) -> Windows:
    """Add up the windows that workers sent, by kind and name."""
    found: dict[tuple[str, str], Recent] = {}
    for sample in samples:
        labels = sample.labels
        recent = found.setdefault((labels["kind"], labels["name"]), Recent())
        part, key = ("code", recent.codes) if "code" in labels else ("bucket", recent.buckets)
        number = int(labels[part])
        key[number] = key.get(number, 0) + int(sample.value)
    return found
