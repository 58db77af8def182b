"""The health of hosts: suspect, lost, flapping."""

from fleet.core.scheduling.cluster_state import HostHealth
from fleet.core.scheduling.failure_detector import FailureDetector

HOSTS = [f"h{n}" for n in range(40)]


def seen(health: FailureDetector, now_s: float, *silent: str) -> dict[str, HostHealth]:
    return health.observe(now_s, {name: name not in silent for name in HOSTS})


def lost(health_by_host: dict[str, HostHealth]) -> int:
    return sum(each is HostHealth.LOST for each in health_by_host.values())


def test_a_silent_host_is_suspect_and_lost_after_its_grace() -> None:
    health = FailureDetector(60)
    seen(health, 0)
    assert seen(health, 1, "h1")["h1"] is HostHealth.SUSPECT
    assert seen(health, 60, "h1")["h1"] is HostHealth.SUSPECT
    assert seen(health, 61, "h1")["h1"] is HostHealth.LOST
    assert seen(health, 62)["h1"] is HostHealth.READY


def test_a_tenth_of_the_hosts_is_lost_at_once_and_then_one_by_one() -> None:
    health = FailureDetector(60)
    silent = HOSTS[:10]
    seen(health, 0)
    seen(health, 1, *silent)
    assert lost(seen(health, 61, *silent)) == 4
    assert lost(seen(health, 62, *silent)) == 4
    assert lost(seen(health, 72, *silent)) == 5


def test_no_host_is_lost_while_more_than_a_third_are_silent() -> None:
    health = FailureDetector(60)
    seen(health, 0)
    silent = HOSTS[:14]
    seen(health, 1, *silent)
    assert lost(seen(health, 500, *silent)) == 0
    assert health.storm


def test_a_host_is_flapping_until_its_penalty_decays() -> None:
    health = FailureDetector(60)
    seen(health, 0)
    for now_s in (10, 30, 50):
        seen(health, now_s, "h1")
        seen(health, now_s + 10)
    assert seen(health, 70)["h1"] is HostHealth.FLAPPING
    assert seen(health, 800)["h1"] is HostHealth.FLAPPING
    assert seen(health, 2000)["h1"] is HostHealth.READY


def test_every_grace_restarts_after_the_store_was_down() -> None:
    health = FailureDetector(60)
    seen(health, 0)
    seen(health, 1, "h1")
    health.restart_grace(100)
    assert seen(health, 101, "h1")["h1"] is HostHealth.SUSPECT
    assert seen(health, 160, "h1")["h1"] is HostHealth.LOST
