"""What an agent writes about its host, on a store in memory."""

import time

import pytest

from coordinator.client.memory_store import MemoryStore
from fleet.agent.host_status import HostStatusWriter
from fleet.core import keys
from fleet.core.model import Facts, HostStatus

HOST = "a" * 32
FACTS = Facts(HOST, "h1", "10.0.0.1", 4000, 8 << 30)


@pytest.mark.parametrize("next_epoch", [1, 2])
def test_the_facts_are_written_again_after_the_store_was_wiped(next_epoch: int) -> None:
    """The next status may be the same one or, just then, another one."""
    store = MemoryStore()
    writer = HostStatusWriter(store, FACTS, 1, time.monotonic)
    writer.write(HostStatus(boot_id="boot", epoch=1), {})
    store.delete(keys.PREFIX, recursive=True)
    time.sleep(0.4)  # until a renewal is due
    writer.write(HostStatus(boot_id="boot", epoch=next_epoch), {})
    written = {entry.key for entry in store.list(keys.PREFIX).entries}
    assert written == {keys.facts(HOST), keys.status(HOST)}
    assert writer.was_silent
