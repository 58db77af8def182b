"""What `fleetctl hosts` shows of the hosts is what the leading scheduler holds of them."""

import asyncio
import time
from collections.abc import Callable, Iterable

from coordinator.client.memory_store import MemoryStore
from daemonkit.process.lifecycle import Lifecycle
from fleet.core import keys
from fleet.core.ctl import listings
from fleet.core.model import Facts, HostStatus, encode
from fleet.ctl.registry import Registry
from fleet.scheduler.scheduler import Scheduler
from fleet.settings import SchedulerSettings

DEADLINE_S = 40.0


def write_hosts(store: MemoryStore, names: Iterable[str], silent: Iterable[str]) -> None:
    for name in names:
        facts = Facts(name * 16, name, "10.0.0.1", 4000, 8 << 30)
        store.put(keys.facts(facts.id), encode(facts))
        if name not in silent:
            store.put(keys.status(facts.id), encode(HostStatus("boot")))


def shown(store: MemoryStore) -> dict[object, object]:
    return {row["host"]: row["state"] for row in listings.hosts(Registry(store).cache.cluster)}


async def until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)


def run_scheduler(store: MemoryStore, grace_s: float, holds: Callable[[Scheduler], bool]) -> None:
    async def story() -> None:
        life = Lifecycle(asyncio.get_running_loop())
        scheduler = Scheduler(store, SchedulerSettings("one", 15, grace_s))
        await scheduler.start(life)
        await until(lambda: holds(scheduler))
        await scheduler.drain()
        await life.cancel_tasks()

    asyncio.run(story())


def test_a_silent_host_is_shown_as_suspect_until_the_scheduler_holds_it_for_lost() -> None:
    store, states = MemoryStore(), []
    names = ["h1", "h2", "h3", "h4"]
    write_hosts(store, names, silent=["h2"])

    def is_lost(_: Scheduler) -> bool:
        states.append(shown(store))
        return states[-1]["h2"] == "LOST"

    run_scheduler(store, 1.0, is_lost)
    assert {**states[0], "h2": "suspect"} == dict.fromkeys(names, "ready") | {"h2": "suspect"}
    assert [state["h2"] for state in states[:-1]] == ["suspect"] * (len(states) - 1)


def test_in_a_storm_silent_hosts_are_shown_as_suspect_and_a_metric_says_why() -> None:
    store = MemoryStore()
    write_hosts(store, ["h1", "h2", "h3"], silent=["h1", "h2"])

    def is_storm(scheduler: Scheduler) -> bool:
        samples = {sample.name: sample.value for sample in scheduler.samples()}
        is_published = Registry(store).cache.cluster.published_health.storm
        return is_published and samples["fleet_storm"] == 1

    run_scheduler(store, 0.1, is_storm)
    assert shown(store) == {"h1": "suspect", "h2": "suspect", "h3": "ready"}
