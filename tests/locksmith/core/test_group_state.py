"""The state of a group, built from its keys, and its metrics."""

import pytest

from coordinator.client.core.store_protocol import Entry
from locksmith.core import group_state, keys, metrics, records
from locksmith.core.group_state import GroupState
from locksmith.core.records import Heartbeat, HolderRecord, Phase
from locksmith.core.semaphore import ABSENT

RECORD = HolderRecord("boot-1", "alpha", "2026-03-01T12:30:05Z", Phase.HELD)


def entries(**values: str) -> dict[str, Entry]:
    return {key: Entry(key, value, 1, 1) for key, value in values.items()}


def fleet() -> dict[str, Entry]:
    beat = records.encode(Heartbeat("alpha", "boot-1", "web", "1"))
    elsewhere = records.encode(Heartbeat("gamma", "boot-3", "", "1"))
    return entries(
        **{
            keys.semaphore("web"): '{"semaphore":1,"max":3,"holders":["aa","bb"]}',
            keys.holder("web", "aa"): records.encode(RECORD),
            keys.holder("", "bb"): records.encode(RECORD),
            keys.host("aa"): beat,
            keys.host("cc"): elsewhere,
        }
    )


def lines_of(shown: GroupState, machine_id: str) -> list[str]:
    found = metrics.of_group(shown, machine_id)
    return [f'{one.name}{{group="{one.labels["group"]}"}} {one.value}' for one in found]


def test_holder_is_known_by_its_record_and_alive_by_its_heartbeat() -> None:
    first, second = group_state.build(fleet(), "web").holders
    assert (first.id, first.record, first.hostname) == ("aa", RECORD, "alpha")
    assert (second.id, second.record, second.heartbeat) == ("bb", None, None)


def test_only_hosts_of_the_group_count() -> None:
    assert group_state.build(fleet(), "web").hosts == ("aa",)
    assert group_state.build(fleet(), "").hosts == ("cc",)


def test_absent_semaphore_has_one_free_slot() -> None:
    shown = group_state.build({}, "web")
    assert (shown.exists, shown.semaphore, shown.holders) == (False, ABSENT, ())


def test_corrupt_semaphore_has_no_free_slots() -> None:
    shown = group_state.build(entries(**{keys.semaphore(""): "notes"}), "")
    assert shown.exists
    assert shown.corrupt
    assert shown.semaphore.free == 0
    assert 'locksmith_semaphore_corrupt{group=""} 1.0' in lines_of(shown, "aa")


@pytest.mark.parametrize(("machine_id", "held"), [("aa", 1.0), ("cc", 0.0)])
def test_metrics_count_the_held_slots(machine_id: str, held: float) -> None:
    assert lines_of(group_state.build(fleet(), "web"), machine_id) == [
        'locksmith_semaphore_slots{group="web"} 3.0',
        'locksmith_semaphore_available{group="web"} 1.0',
        'locksmith_semaphore_holders{group="web"} 2.0',
        'locksmith_semaphore_holders_unknown{group="web"} 1.0',
        'locksmith_semaphore_drift{group="web"} 0.0',
        'locksmith_semaphore_corrupt{group="web"} 0.0',
        f'locksmith_semaphore_held{{group="web"}} {held}',
        'locksmith_hosts{group="web"} 1.0',
        'locksmith_queue_waiters{group="web"} 0.0',
        'locksmith_failures{group="web"} 0.0',
        'locksmith_records_unreadable{group="web"} 0.0',
        'locksmith_paused{group="web"} 0.0',
    ]
