"""What is deleted with a destroyed job, while others write."""

import urllib.request
from pathlib import Path

import pytest

from coordinator.client import connect
from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import DeleteCondition, Listing
from coordinator.client.memory_store import MemoryStore
from fleet.core import keys
from fleet.core.jobs.signing import Signer
from fleet.core.model import Rollout, TargetState, digest, encode
from fleet.ctl.registry import Refused, Registry
from fleet.scheduler.job_gc import VERSIONS_KEPT, VERSIONS_MAX, delete_job, prune_versions
from rig.processes import Coordinator
from tests.fleet.core.jobs.test_signing import keys as pair

TEXT = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nCount=1\n"
SIGNER = Signer(pair()[0])
UNIT = keys.unit(digest(TEXT))


class Interrupted(MemoryStore):
    """A store that runs another client's action once, right before a certain call."""

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
    registry.put_job("old.service", TEXT, target=TargetState.LAUNCHED, signer=SIGNER)
    registry.change_job("old.service", target=TargetState.DESTROYED)
    return store.get(keys.job("old.service")).modified


def has(store: MemoryStore, key: str) -> bool:
    try:
        store.get(key)
    except KeyNotFound:
        return False
    return True


def test_a_job_is_deleted_with_its_versions_unit_and_signatures() -> None:
    store = MemoryStore()
    delete_job(store, "old.service", destroyed(store))
    assert store.list(keys.PREFIX).entries == ()


def test_a_unit_that_another_job_refers_to_stays() -> None:
    store = MemoryStore()
    index = destroyed(store)
    Registry(store).put_job("new.service", TEXT, target=TargetState.LAUNCHED)
    delete_job(store, "old.service", index)
    assert has(store, UNIT)
    assert not has(store, keys.job("old.service"))


@pytest.mark.parametrize("calls", range(8))
@pytest.mark.parametrize("name", ["new.service", "old.service"])
def test_a_unit_stays_if_a_job_refers_to_it_at_any_moment_of_the_deletion(
    calls: int, name: str
) -> None:
    store = Interrupted()
    index = destroyed(store)
    other = Registry(store)
    store.act = lambda: other.put_job(name, TEXT, target=TargetState.LAUNCHED)
    store.calls_before = calls
    delete_job(store, "old.service", index)
    found = Registry(store).desired(name)
    assert (found.record.target, found.text, found.fault) == (TargetState.LAUNCHED, TEXT, "")


@pytest.mark.parametrize("calls", range(8))
def test_a_successor_finishes_an_interrupted_deletion(calls: int) -> None:
    store = Interrupted()
    index = destroyed(store)

    def killed() -> None:
        raise KeyboardInterrupt

    store.act, store.calls_before = killed, calls
    with pytest.raises(KeyboardInterrupt):
        delete_job(store, "old.service", index)
    delete_job(store, "old.service", index)
    assert store.list(keys.PREFIX).entries == ()


def test_only_the_newest_versions_and_the_stable_unit_are_kept() -> None:
    store = MemoryStore()
    texts = [f"{TEXT}# {number}\n" for number in range(VERSIONS_MAX + 1)]
    for text in texts:
        prune_versions(store, "web.service")
        Registry(store).put_job("web.service", text, target=TargetState.LAUNCHED)
    stable = digest(texts[3])
    rollout = Rollout(version=51, began_s=0.0, progress_s=0.0, stable=4, stable_unit=stable)
    store.put(keys.rollout("web.service"), encode(rollout))
    registry = Registry(store)
    assert len(registry.versions("web.service")) == len(texts)
    prune_versions(store, "web.service")
    numbers = [each.number for each in registry.versions("web.service")]
    assert numbers == list(range(len(texts) - VERSIONS_KEPT + 1, len(texts) + 1))
    kept = {digest(text) for text in texts[-VERSIONS_KEPT:]} | {stable}
    units = store.list(f"{keys.PREFIX}/units").entries
    assert {each.key.rpartition("/")[2] for each in units} == kept


def test_a_destroyed_job_leaves_no_directory(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as coordinator:
        store = connect([coordinator.url])
        registry = Registry(store)
        registry.put_job("old.service", TEXT, target=TargetState.LAUNCHED, signer=SIGNER)
        registry.change_job("old.service", target=TargetState.DESTROYED)
        delete_job(store, "old.service", store.get(keys.job("old.service")).modified)
        with urllib.request.urlopen(f"{coordinator.url}/v2/keys/fleet?recursive=true") as reply:
            text = reply.read().decode()
    assert "old.service" not in text
    assert digest(TEXT) not in text


def test_a_job_that_is_being_destroyed_cannot_be_changed() -> None:
    store = MemoryStore()
    destroyed(store)
    with pytest.raises(Refused, match="is being destroyed"):
        Registry(store).change_job("old.service", count=3)
