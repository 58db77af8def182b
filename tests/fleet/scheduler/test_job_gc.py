"""What goes with a job that is destroyed, while others write."""

import pytest

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import DeleteCondition, Listing
from coordinator.client.memory_store import MemoryStore
from fleet.core import keys
from fleet.core.model import TargetState, digest
from fleet.ctl.registry import Refused, Registry
from fleet.scheduler.job_gc import forget

TEXT = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nCount=1\n"
UNIT = keys.unit(digest(TEXT))


class Interrupted(MemoryStore):
    """A store at which somebody else acts, once, right before a certain call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_before, self.act = -1, lambda: None

    def _step(self) -> None:
        self.calls_before -= 1
        if self.calls_before == -1:
            self.act()

    def list(self, prefix: str) -> Listing:
        self._step()
        return super().list(prefix)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        self._step()
        super().delete(key, recursive=recursive, when=when)


def destroyed(store: MemoryStore) -> int:
    registry = Registry(store)
    registry.put_job("old.service", TEXT, target=TargetState.LAUNCHED, signature="a signature")
    registry.change_job("old.service", target=TargetState.DESTROYED)
    return store.get(keys.job("old.service")).modified


def has(store: MemoryStore, key: str) -> bool:
    try:
        store.get(key)
    except KeyNotFound:
        return False
    return True


def test_a_job_goes_with_its_versions_its_unit_and_its_signatures() -> None:
    store = MemoryStore()
    forget(store, "old.service", destroyed(store))
    assert store.list(keys.PREFIX).entries == ()


def test_a_unit_that_another_job_names_stays() -> None:
    store = MemoryStore()
    index = destroyed(store)
    Registry(store).put_job("new.service", TEXT, target=TargetState.LAUNCHED)
    forget(store, "old.service", index)
    assert has(store, UNIT)
    assert not has(store, keys.job("old.service"))


@pytest.mark.parametrize("calls", range(7))
@pytest.mark.parametrize("name", ["new.service", "old.service"])
def test_a_unit_that_a_job_names_at_any_moment_of_it_stays(calls: int, name: str) -> None:
    store = Interrupted()
    index = destroyed(store)
    other = Registry(store)
    store.act = lambda: other.put_job(name, TEXT, target=TargetState.LAUNCHED)
    store.calls_before = calls
    forget(store, "old.service", index)
    found = Registry(store).desired(name)
    assert (found.record.target, found.text, found.fault) == (TargetState.LAUNCHED, TEXT, "")


@pytest.mark.parametrize("calls", range(7))
def test_who_is_killed_in_between_leaves_the_rest_to_a_successor(calls: int) -> None:
    store = Interrupted()
    index = destroyed(store)

    def killed() -> None:
        raise KeyboardInterrupt

    store.act, store.calls_before = killed, calls
    with pytest.raises(KeyboardInterrupt):
        forget(store, "old.service", index)
    forget(store, "old.service", index)
    assert store.list(keys.PREFIX).entries == ()


def test_a_job_that_is_being_destroyed_takes_no_other_change() -> None:
    store = MemoryStore()
    destroyed(store)
    with pytest.raises(Refused, match="is being destroyed"):
        Registry(store).change_job("old.service", count=3)
