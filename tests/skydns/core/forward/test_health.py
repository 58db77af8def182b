from skydns.core.forward.health import BACKOFF_S_MAX, UpstreamHealth


def test_servers_are_asked_in_rotation_and_those_that_fail_are_asked_last() -> None:
    health, servers = UpstreamHealth(), [("a", 53), ("b", 53), ("c", 53)]
    assert health.order(servers, 1, 0.0) == [("b", 53), ("c", 53), ("a", 53)]
    health.failed(("b", 53), 0.0)
    assert health.order(servers, 1, 0.0)[0] == ("b", 53)
    health.failed(("b", 53), 0.0)
    assert health.order(servers, 1, 0.5)[-1] == ("b", 53)
    assert health.order(servers, 1, 1.5)[0] == ("b", 53)
    for _ in range(20):
        health.failed(("b", 53), 0.0)
    assert not health.in_backoff(("b", 53), BACKOFF_S_MAX)
    assert health.in_backoff(("b", 53), BACKOFF_S_MAX - 1)
    health.answered(("b", 53))
    assert not health.in_backoff(("b", 53), 0.1)
    assert health.order([], 3, 0.0) == []
