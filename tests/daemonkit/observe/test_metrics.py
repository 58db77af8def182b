"""The Prometheus text of samples, and their sums."""

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from daemonkit.core import samples
from daemonkit.core.samples import Sample
from daemonkit.observe import metrics


def counter(value: float, **labels: str) -> Sample:
    return Sample("app_requests_total", "counter", "Requests.", value, labels)


def gauge(value: float, **labels: str) -> Sample:
    return Sample("app_open", "gauge", "Open things.", value, labels)


def parsed(samples: list[Sample]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.exposition(samples).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_prometheus_reads_the_exposition() -> None:
    nasty = 'a"b\\c\nd'
    found = parsed([counter(3, code="200"), counter(1, code=nasty), gauge(2.5)])
    assert found[("app_requests_total", (("code", "200"),))] == 3
    assert found[("app_requests_total", (("code", nasty),))] == 1
    assert found[("app_open", ())] == 2.5


def test_help_and_type_are_written_once_per_name() -> None:
    text = metrics.exposition([counter(1, code="a"), counter(2, code="b"), gauge(1)]).decode()
    assert text.count("# TYPE app_requests_total counter") == 1
    assert text.count("# HELP app_requests_total Requests.") == 1
    assert text.count("# TYPE app_open gauge") == 1


def test_a_histogram_is_one_family() -> None:
    samples = [
        Sample("app_seconds_bucket", "histogram", "Time.", 1, {"le": "0.5"}),
        Sample("app_seconds_bucket", "histogram", "Time.", 3, {"le": "+Inf"}),
        Sample("app_seconds_sum", "histogram", "Time.", 4.5),
        Sample("app_seconds_count", "histogram", "Time.", 3),
    ]
    assert metrics.exposition(samples).count(b"# TYPE app_seconds histogram") == 1
    found = parsed(samples)
    assert found[("app_seconds_bucket", (("le", "+Inf"),))] == 3
    assert found[("app_seconds_sum", ())] == 4.5


def test_the_order_of_labels_does_not_matter() -> None:
    found = parsed([counter(1, a="1", b="2"), counter(2, b="1", a="2"), counter(3, c="x")])
    assert found[("app_requests_total", (("a", "1"), ("b", "2")))] == 1
    assert found[("app_requests_total", (("a", "2"), ("b", "1")))] == 2
    assert found[("app_requests_total", (("c", "x"),))] == 3


def test_metrics_of_the_process_are_included() -> None:
    found = parsed([])
    assert found[("process_resident_memory_bytes", ())] > 0
    assert found[("process_open_fds", ())] > 0


def test_equal_samples_add_up() -> None:
    groups = [
        [counter(1, a="1", b="2"), gauge(1)],
        [counter(2, b="2", a="1"), gauge(2.5)],
        [counter(4, a="2", b="2")],
    ]
    total = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples.total(groups)}
    assert total == {
        ("app_requests_total", (("a", "1"), ("b", "2"))): 3,
        ("app_requests_total", (("a", "2"), ("b", "2"))): 4,
        ("app_open", ()): 3.5,
    }


def test_the_sum_of_no_samples_is_empty() -> None:
    assert samples.total([[], []]) == []


def test_the_value_of_a_sample_is_always_a_float() -> None:
    for value in (True, float("inf"), 3):
        sample = Sample("up", "gauge", "Whether.", value)
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(sample), type=Sample)
        assert (type(sent.value), sent) == (float, sample)
