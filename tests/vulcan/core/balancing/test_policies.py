import random
from collections import Counter
from dataclasses import dataclass

import pytest

from vulcan.core.balancing.ejection import Fitness, Passive, Streak, in_rotation
from vulcan.core.balancing.policies import Balance


@dataclass(eq=False)
class Server:
    name: str
    weight: float = 1.0
    under_way: int = 0
    down: bool = False

    @property
    def configured_weight(self) -> float:
        return self.weight

    def is_fit(self, now_s: float) -> bool:  # noqa: ARG002
        return not self.down


def balance(turn: int = 0) -> Balance:
    return Balance(turn, random.Random(7).random)


def picks(servers: list[Server], times: int, policy: str = "rr", turn: int = 0) -> list[str]:
    turns = balance(turn)
    return [turns.pick(servers, policy).name for _ in range(times)]


def test_every_server_gets_its_turn():
    assert Counter(picks([Server(n) for n in "abc"], 30, turn=5)) == {"a": 10, "b": 10, "c": 10}


def test_the_first_turn_is_where_it_was_told():
    assert picks([Server(n) for n in "abc"], 1, turn=1) == ["b"]


def test_weights_are_kept_smoothly():
    servers = [Server("a", 5.0), Server("b"), Server("c")]
    assert "".join(picks(servers, 7)) == "aabacaa"


def test_another_server_is_one_that_was_not_tried():
    servers = [Server(n) for n in "abc"]
    turns = balance()
    found = {turns.pick_other(servers, servers[:1], "rr") for _ in range(4)}
    assert found == set(servers[1:])
    assert turns.pick_other(servers, servers, "rr") is None


@pytest.mark.parametrize("policy", ["p2c", "leastconn"])
def test_the_less_busy_server_is_asked_more(policy: str):
    servers = [Server("busy", under_way=9), Server("free")]
    assert Counter(picks(servers, 40, policy)) == {"free": 40}


def test_least_connections_shares_among_equals():
    assert Counter(picks([Server("a"), Server("b")], 10, "leastconn")) == {"a": 5, "b": 5}


def test_a_server_is_put_aside_after_failures_in_a_row_and_comes_back():
    fitness = Fitness(0.0)
    passive = Passive(failures=2, penalty_s=10.0)
    fitness.failed(1.0, passive)
    fitness.answered()
    fitness.failed(2.0, passive)
    assert fitness.is_fit(2.0)
    fitness.failed(3.0, passive)
    assert not fitness.is_fit(12.9)
    assert fitness.is_fit(13.0)


def test_a_server_that_comes_starts_slowly():
    fitness = Fitness(100.0)
    shares = [fitness.share(100.0 + s, 10.0) for s in (0.0, 5.0, 10.0)]
    assert shares == [0.1, 0.5, 1.0]
    fitness.set_down(120.0, down=True)
    fitness.set_down(130.0, down=False)
    assert fitness.share(135.0, 10.0) == 0.5


@pytest.mark.parametrize(
    ("down", "asked"),
    [("", "abcd"), ("a", "bcd"), ("ab", "cd"), ("abc", "abcd"), ("abcd", "abcd")],
)
def test_when_too_few_are_fit_all_are_asked(down: str, asked: str):
    servers = [Server(n, down=n in down) for n in "abcd"]
    assert "".join(s.name for s in in_rotation(servers, 0.0)) == asked


def test_weight_0_drains_a_server():
    assert [s.name for s in in_rotation([Server("a", 0.0), Server("b")], 0.0)] == ["b"]


def test_a_verdict_changes_after_a_streak():
    streak = Streak(rise=2, fall=3)
    checks = [False, False, True, False, False, False, True, False, True, True]
    assert [streak.checked(ok=ok) for ok in checks] == [
        *[False] * 5, True, False, False, False, True
    ]  # fmt: skip
    assert not streak.down
