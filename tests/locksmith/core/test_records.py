"""Records from the store: anybody who may write keys may write anything there."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from coordinator.client.core.store_protocol import Entry
from locksmith.core import group_state, holder_status, keys, reboot_brake, records, semaphore
from locksmith.core.holder_status import HolderStatus
from locksmith.core.records import (
    Failure,
    GroupEvent,
    Heartbeat,
    HolderRecord,
    Pause,
    Phase,
    RebootRow,
    Record,
    Ticket,
)
from locksmith.core.semaphore import CorruptSemaphoreText

KINDS: list[type[Record]] = [
    HolderRecord,
    Heartbeat,
    Ticket,
    Pause,
    Failure,
    GroupEvent,
    RebootRow,
]
DEEP = "[" * 5000 + "]" * 5000
COMMON = (
    '"boot_id":"b","host":"h","hostname":"h","group":"","version":"1","since":"","phase":"held"'
)
POISON = {
    "nothing": "",
    "deep": DEEP,
    "deep in an unknown field": '{"x":' * 5000 + "1" + "}" * 5000,
    "deep in a known field": f'{{{COMMON},"reasons":{DEEP}}}',
    "digits": f'{{{COMMON},"token":{"9" * 5000},"priority":{"9" * 5000},"seconds":{"9" * 5000}}}',
    "a number of 80 bits": f'{{{COMMON},"token":{2**80},"priority":{2**80}}}',
    "half a surrogate": f'{{{COMMON},"detail":"\\ud800"}}',
    "raw surrogate": f'{{{COMMON},"detail":"\ud800"}}',
    "infinity": f'{{{COMMON},"seconds":1e999}}',
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", POISON.values(), ids=POISON)
def test_any_text_is_a_record_that_can_be_written_again_or_none(
    text: str, kind: type[Record]
) -> None:
    record = records.decode(text, kind)
    if record is not None:
        assert records.decode(records.encode(record), kind) == record


@pytest.mark.parametrize("text", POISON.values(), ids=POISON)
def test_any_text_is_a_semaphore_or_corrupt(text: str) -> None:
    with suppress(CorruptSemaphoreText):
        found = semaphore.decode(text)
        assert semaphore.decode(semaphore.encode(found)).max == found.max


@pytest.mark.parametrize("deadline", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "x"])
def test_any_deadline_has_a_status(deadline: str) -> None:
    record = HolderRecord("b", "h", "", Phase.REBOOTING, deadline=deadline)
    assert holder_status.classify(record, None, datetime.now(UTC)) in HolderStatus


def test_unreadable_record_is_left_out_and_named_with_its_reason() -> None:
    texts = {
        keys.semaphore(""): '{"semaphore":0,"max":1,"holders":["abc"]}',
        keys.holder("", "abc"): DEEP,
        keys.host("abc"): DEEP,
        keys.ticket("", "abc"): '{"host":7}',
        keys.failure("", "abc"): "x",
        keys.PAUSED_FLEET: "[]",
        keys.ticket("other", "abc"): "not of this group",
    }
    odd_key = f"{keys.QUEUE}/{keys.segment('')}/a%2fb"  # locksmith writes %2F
    readable = {odd_key: records.encode(Ticket("h", "b", ""))}
    readable[keys.host("a/b")] = records.encode(Heartbeat("h", "b", "other", "1"))
    entries = {key: Entry(key, text, 1, 1) for key, text in {**texts, **readable}.items()}
    found = group_state.build(entries, "")
    assert [holder.record for holder in found.holders] == [None]
    assert (found.hosts, found.failures, found.pauses) == ((), (), ())
    assert [waiter.id for waiter in found.waiters] == ["a/b"]
    wrong = set(texts) - {keys.semaphore(""), keys.ticket("other", "abc")}
    assert {key for key, _ in found.unreadable} == wrong
    assert all(why for _, why in found.unreadable)


@pytest.mark.parametrize("forgiven", ["9" * 4300, str(2**53)])
def test_a_reboot_is_counted_after_any_row(forgiven: str) -> None:
    found = records.decode(f'{{"forgiven":{forgiven}}}', RebootRow) or RebootRow()
    row = reboot_brake.ordered(found, "boot-1", datetime.now(UTC), ())
    assert len(row.reboots) == 1
    assert records.encode(row)
