"""Metrics: bounded labels, and a histogram that Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from daemonkit.observe import metrics
from vulcan.core.balancing.frontend_state import Tally
from vulcan.core.balancing.sliding_window import bucket_of
from vulcan.core.control import metrics as series


def tally(*seconds: float) -> Tally:
    made = Tally()
    for each in seconds:
        made.answer(200)
        made.took(bucket_of(each), each)
    return made


def histogram(made: Tally) -> dict[str, float]:
    text = metrics.exposition(series.of_tally("f", made)).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families[series.SECONDS].type == "histogram"
    return {
        sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value
        for sample in families[series.SECONDS].samples
    }


def test_latencies_are_a_histogram_with_its_sum_and_count():
    found = histogram(tally(0.0001, 0.0004, 0.003, 100.0))
    assert found["0.000512"] == 2
    assert found["0.002048"] == 2
    assert found["0.008192"] == 3
    assert found["33.5544"] == 3
    assert found["+Inf"] == found["count"] == 4
    assert round(found["sum"], 4) == 100.0035


def test_an_edge_belongs_to_the_next_bucket():
    found = histogram(tally(0.000511, 0.000512))
    assert (found["0.000512"], found["0.002048"]) == (1, 2)


def test_a_frontend_that_was_not_asked_has_no_series():
    assert not list(series.of_tally("f", Tally()))
