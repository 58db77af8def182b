"""Metrics: bounded labels, and a histogram that Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from daemonkit.observe.metrics import exposition
from rig.vulcan_keys import PREFIX, changes, frontend, server
from vulcan.core.balancing.frontend_state import (
    COUNTED_FRONTENDS_MAX,
    FrontendCounters,
    FrontendStates,
)
from vulcan.core.balancing.sliding_window import bucket_of
from vulcan.core.config.table import Table
from vulcan.core.control import metrics


def counters(*seconds: float) -> FrontendCounters:
    made = FrontendCounters()
    for each in seconds:
        made.count_response(200)
        made.add_latency(bucket_of(each), each)
    return made


def histogram(made: FrontendCounters) -> dict[str, float]:
    text = exposition(metrics.of_frontend("f", made)).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families[metrics.SECONDS].type == "histogram"
    return {
        sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value
        for sample in families[metrics.SECONDS].samples
    }


def test_latencies_are_a_histogram_with_its_sum_and_count():
    found = histogram(counters(0.0001, 0.0004, 0.003, 100.0))
    assert found["0.000512"] == 2
    assert found["0.002048"] == 2
    assert found["0.008192"] == 3
    assert found["33.5544"] == 3
    assert found["+Inf"] == found["count"] == 4
    assert round(found["sum"], 4) == 100.0035


def test_a_latency_on_an_edge_is_in_the_next_bucket():
    found = histogram(counters(0.000511, 0.000512))
    assert (found["0.000512"], found["0.002048"]) == (1, 2)


def test_a_frontend_without_requests_has_no_series():
    assert not list(metrics.of_frontend("f", FrontendCounters()))


def test_frontends_beyond_the_maximum_are_counted_together():
    many = COUNTED_FRONTENDS_MAX + 3
    entries = [frontend(f"f{n}", f'Host("h{n}")') for n in range(many)]
    empty = Table(PREFIX)
    table = empty.advanced(changes(server("s", "http://h:1"), *entries, reset=True))
    states = FrontendStates(0, lambda: 0.0)
    states.update(table, empty)
    for state in states.by_id.values():
        state.counters.count_response(200)
    samples = metrics.of_frontends(states)
    counts = {s.labels["frontend"]: s.value for s in samples if "code" in s.labels}
    assert len(counts) == COUNTED_FRONTENDS_MAX + 1
    assert counts[metrics.OTHERS] == 3


def test_a_backend_has_series_for_its_connections_and_servers():
    status = metrics.BackendStatus("b", 2, 1, {"one": True, "two": False})
    found = {(s.name, *sorted(s.labels.values())): s.value for s in metrics.of_backends([status])}
    assert found == {
        ("vulcand_server_connections", "b", "idle"): 2,
        ("vulcand_server_connections", "b", "busy"): 1,
        ("vulcand_server_healthy", "b", "one"): 1.0,
        ("vulcand_server_healthy", "b", "two"): 0.0,
    }


def test_the_series_of_servers_are_bounded():
    small = metrics.BackendStatus("a", 0, 0, {"s": True})
    large = metrics.BackendStatus("b", 0, 0, dict.fromkeys(map(str, range(2_000)), True))
    assert {s.labels["backend"] for s in metrics.of_backends([small, large])} == {"a"}


def test_counters_that_are_zero_have_no_series():
    made = FrontendCounters(retries=2)
    assert [s.name for s in metrics.of_frontend("f", made)] == ["vulcand_retries_total"]


def test_the_table_and_the_store_have_series():
    table = Table(PREFIX).advanced(changes(server("s", "http://h:1"), reset=True, index=7))
    samples = [*metrics.of_table(table, 3), *metrics.of_store(connected=True, age_s=1.5)]
    assert {s.name.removeprefix("vulcand_"): s.value for s in samples} == {
        "frontends": 0,
        "backends": 1,
        "refused_keys": 3,
        "store_index": 7,
        "store_connected": 1,
        "store_age_seconds": 1.5,
    }
    assert len(list(metrics.of_store(connected=False, age_s=None))) == 1
