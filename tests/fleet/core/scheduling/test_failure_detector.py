"""The health of hosts: suspect, lost, flapping."""

from fleet.core.model import HostHealth
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


def test_two_dead_hosts_of_five_are_lost_when_the_storm_is_over() -> None:
    health = FailureDetector(60)
    dead = {f"h{n}": n > 1 for n in range(5)}
    health.observe(0, dict.fromkeys(dead, True))
    assert lost(health.observe(1, dead)) == 0
    assert health.storm
    assert lost(health.observe(660, dead)) == 0
    assert lost(health.observe(661, dead)) == 1
    assert not health.storm
    assert lost(health.observe(671, dead)) == 2
    assert lost(health.observe(10_000, dead)) == 2


def test_all_of_a_third_of_the_hosts_are_lost_in_the_end() -> None:
    health = FailureDetector(60)
    dead = {f"h{n}": n >= 99 for n in range(300)}
    health.observe(0, dict.fromkeys(dead, True))
    for now_s in range(1, 761):
        found = health.observe(float(now_s), dead)
    assert lost(found) == 99


def test_hosts_that_are_silent_for_long_do_not_wait_for_a_later_storm() -> None:
    health = FailureDetector(60)
    names = [f"h{n}" for n in range(6)]
    health.observe(0, dict.fromkeys(names, True))
    health.observe(1, {name: name not in ("h0", "h1", "h2") for name in names})
    dead = {name: name == "h5" for name in names}
    health.observe(600, dead)
    found = [lost(health.observe(now_s, dead)) for now_s in (671, 681, 691, 701)]
    assert health.storm
    assert found == [1, 2, 3, 3]
