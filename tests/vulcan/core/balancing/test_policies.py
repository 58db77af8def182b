import random
from collections import Counter
from dataclasses import dataclass

import pytest

from vulcan.core.balancing.policies import LoadBalancer


@dataclass(eq=False)
class Server:
    name: str
    weight: float = 1.0
    in_flight: int = 0


def balancer(first: int = 0) -> LoadBalancer:
    return LoadBalancer(first, random.Random(7).random)


def picks(servers: list[Server], times: int, policy: str = "rr", first: int = 0) -> list[str]:
    made = balancer(first)
    return [made.pick(servers, policy).name for _ in range(times)]


def test_round_robin_picks_every_server_equally_often():
    assert Counter(picks([Server(n) for n in "abc"], 30, first=5)) == {"a": 10, "b": 10, "c": 10}


def test_the_first_server_is_the_given_one():
    assert picks([Server(n) for n in "abc"], 1, first=1) == ["b"]


def test_weighted_round_robin_is_smooth():
    servers = [Server("a", 5.0), Server("b"), Server("c")]
    assert "".join(picks(servers, 7)) == "aabacaa"


def test_pick_other_returns_a_server_that_was_not_tried():
    servers = [Server(n) for n in "abc"]
    made = balancer()
    found = {made.pick_other(servers, servers[:1], "rr") for _ in range(4)}
    assert found == set(servers[1:])
    assert made.pick_other(servers, servers, "rr") is None


@pytest.mark.parametrize("policy", ["p2c", "leastconn"])
def test_the_server_with_fewer_requests_in_flight_is_picked(policy: str):
    servers = [Server("busy", in_flight=9), Server("free")]
    assert Counter(picks(servers, 40, policy)) == {"free": 40}


def test_least_connections_rotates_among_equal_servers():
    assert Counter(picks([Server("a"), Server("b")], 10, "leastconn")) == {"a": 5, "b": 5}
