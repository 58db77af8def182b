"""The latest traffic of all workers, and the servers that differ from the others."""

from daemonkit.core.samples import Sample
from vulcan.core.balancing.sliding_window import SlidingWindow, bucket_of
from vulcan.core.control.top import WindowTotals, anomalies, labels, merge_windows


def recent(codes: dict[int, int], latency_s: float = 0.01) -> WindowTotals:
    return WindowTotals(codes, {bucket_of(latency_s): sum(codes.values())})


def messages(*servers: WindowTotals) -> list[list[int]]:
    return [[anomaly.code for anomaly in found] for found in anomalies(servers)]


def test_windows_of_several_workers_add_up():
    window = SlidingWindow()
    for status in (200, 200, 502):
        window.record(5.0, status, 0.004)
    status = labels("frontend", "f", window.counts())
    # Two workers with the same labels make one sample of value two.
    both = merge_windows([Sample("w", "gauge", "", 2, status)])[("frontend", "f")]
    assert both.codes == {200: 4, 502: 2}
    assert both.buckets == {bucket_of(0.004): 6}
    assert both.rank == (-2 / 6, 0.0, -6)


def test_servers_with_similar_traffic_have_no_anomaly():
    assert messages(recent({200: 9}), recent({200: 8}), recent({200: 10})) == [[], [], []]
    assert messages(recent({502: 9})) == [[]]


def test_a_server_has_an_anomaly_for_latency_network_errors_and_500s():
    good = recent({200: 100})
    assert messages(good, recent({200: 100}, 0.1), good) == [[], [1], []]
    assert messages(good, recent({200: 50, 502: 50}), good) == [[], [2], []]
    assert messages(good, good, recent({200: 50, 500: 50})) == [[], [], [3]]
    assert messages(good, recent({200: 50, 504: 50})) == [[], [2]]


def test_a_verdict_has_vulcands_json():
    (_, found) = anomalies([recent({200: 9}), recent({502: 9})])
    verdict = recent({502: 9}).stats(found)["Verdict"]
    assert verdict == {"IsBad": True, "Anomalies": found}
