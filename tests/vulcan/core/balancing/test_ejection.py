from dataclasses import dataclass

import pytest

from vulcan.core.balancing.ejection import CheckHistory, EjectionPolicy, ServerHealth, in_rotation


@dataclass(eq=False)
class CheckedServer:
    name: str
    weight: float = 1.0
    down: bool = False

    @property
    def configured_weight(self) -> float:
        return self.weight

    def is_healthy(self, now_s: float) -> bool:  # noqa: ARG002
        return not self.down


def rotation(names: str, down: str) -> str:
    servers = [CheckedServer(name, down=name in down) for name in names]
    return "".join(server.name for server in in_rotation(servers, 0.0))


def test_a_server_is_ejected_after_failures_in_a_row_and_returns():
    health = ServerHealth(0.0)
    policy = EjectionPolicy(failures=2, penalty_s=10.0)
    health.failed(1.0, policy)
    health.answered()
    health.failed(2.0, policy)
    assert health.is_healthy(2.0)
    health.failed(3.0, policy)
    assert not health.is_healthy(12.9)
    assert health.is_healthy(13.0)


def test_a_new_server_starts_slowly():
    health = ServerHealth(100.0)
    shares = [health.share(100.0 + s, 10.0) for s in (0.0, 5.0, 10.0)]
    assert shares == [0.1, 0.5, 1.0]
    health.set_down(120.0, down=True)
    health.set_down(130.0, down=False)
    assert health.share(135.0, 10.0) == 0.5


@pytest.mark.parametrize(
    ("down", "asked"),
    [
        ("", "abc"),
        ("a", "bc"),
        ("ab", "c"),
        ("abc", "abc"),
    ],
)
def test_a_small_fleet_uses_its_healthy_servers_while_there_is_one(down: str, asked: str):
    assert rotation("abc", down) == asked


@pytest.mark.parametrize(
    ("down", "asked"),
    [
        ("abcde", "fghij"),
        ("abcdef", "abcdefghij"),
        ("abcdefghij", "abcdefghij"),
    ],
)
def test_a_large_fleet_uses_all_servers_when_fewer_than_half_are_healthy(down: str, asked: str):
    assert rotation("abcdefghij", down) == asked
    assert rotation("abcdefghi", "abcdef") == "ghi"


def test_weight_0_drains_a_server():
    assert [s.name for s in in_rotation([CheckedServer("a", 0.0), CheckedServer("b")], 0.0)] == [
        "b"
    ]


def test_a_server_is_down_after_enough_failed_checks_in_a_row():
    history = CheckHistory(rise=2, fall=3)
    checks = [False, False, True, False, False, False, True, False, True, True]
    assert [history.record(ok=ok) for ok in checks] == [
        *[False] * 5, True, False, False, False, True
    ]  # fmt: skip
    assert not history.down
