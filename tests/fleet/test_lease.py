"""Who schedules, with several that stand for it."""

from coordinator.client.memory import MemoryStore
from fleet import keys
from fleet.lease import Leadership


class World:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.store = MemoryStore(clock=lambda: self.now_s)

    def stand(self, name: str) -> Leadership:
        return Leadership(self.store, name, 15, lambda: self.now_s)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.store.expire()


def test_one_of_two_leads() -> None:
    world = World()
    one, two = world.stand("one"), world.stand("two")
    assert one.step(0)
    assert not two.step(0)
    assert one.epoch == 1


def test_a_leader_that_renews_keeps_its_epoch() -> None:
    world = World()
    one, two = world.stand("one"), world.stand("two")
    for _ in range(20):
        assert one.step(0)
        assert not two.step(0)
        world.wait(5)
    assert one.epoch == 1


def test_a_leader_that_slept_past_its_lease_leads_no_more_and_its_successor_has_a_later_epoch() -> (
    None
):
    world = World()
    one, two = world.stand("one"), world.stand("two")
    one.step(0)
    world.wait(16)
    assert not one.leads
    assert two.step(0)
    assert two.epoch == 2
    assert not one.step(2)
    assert two.leads


def test_a_leader_stops_acting_before_the_store_forgets_it() -> None:
    world = World()
    one, two = world.stand("one"), world.stand("two")
    one.step(0)
    world.wait(12.5)
    assert not one.leads
    assert not two.step(0)


def test_who_resigns_is_followed_at_once() -> None:
    world = World()
    one, two = world.stand("one"), world.stand("two")
    one.step(0)
    one.resign()
    assert not one.leads
    assert two.step(0)


def test_an_epoch_is_later_than_any_that_hosts_have_seen_also_in_an_emptied_store() -> None:
    world = World()
    one = world.stand("one")
    one.step(0)
    world.store.delete("/fleet", recursive=True)
    assert one.step(41)
    assert one.epoch == 42
    assert world.store.get(keys.EPOCH).value == "42"
