"""Prometheus' text format, with prometheus-client. Import it only for a scrape."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from daemonkit.core.samples import Sample
from daemonkit.observe import process_counters


class _Once(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for sample in self._samples:
            name = sample.name
            if sample.kind == "histogram":
                name = name.rpartition("_")[0]
            family = families.get(name)
            if family is None:
                family = families[name] = _KINDS[sample.kind](name, sample.help)
            family.add_sample(sample.name, sample.labels, sample.value)
        yield from families.values()


def _histogram(name: str, text: str) -> Metric:
    return Metric(name, text, "histogram")


_KINDS: dict[str, Callable[[str, str], Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": _histogram,
}
_PROCESS = CollectorRegistry()
ProcessCollector(registry=_PROCESS)
PlatformCollector(registry=_PROCESS)
GCCollector(registry=_PROCESS)


def text_of(samples: Iterable[Sample]) -> bytes:
    """Return the text of `/metrics`: these samples and the process's own."""
    registry = CollectorRegistry()
    registry.register(_Once(chain(samples, process_counters.samples())))
    return generate_latest(registry) + generate_latest(_PROCESS)
