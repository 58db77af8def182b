"""`locksmithctl queue`, `history` and `watch`, on real stores."""

import json
from pathlib import Path

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import Ticket
from rig.processes import Running, python, wait_until
from tests.locksmith.ctl.commands import beat, ctl
from tests.locksmith.locksmithd import put_semaphore


def test_queue_is_shown_in_order(url: str) -> None:
    store = connect(url)
    for name, priority in (("a", 0), ("b", 0), ("c", 5)):
        beat(store, name)
        ticket = Ticket(name, f"boot-{name}", "2026-01-01T00:00:00Z", priority)
        store.put(keys.ticket("", f"id-{name}"), records.encode(ticket))
    silent = Ticket("d", "boot-d", "2026-01-01T00:00:00Z", 9)
    store.put(keys.ticket("", "id-d"), records.encode(silent))
    rows = json.loads(ctl(url, "-json", "queue").stdout)
    assert [row["host"] for row in rows] == ["c", "a", "b"]


def test_history_shows_who_did_what(url: str) -> None:
    ctl(url, "pause", "--reason", "freeze")
    ctl(url, "resume")
    rows = json.loads(ctl(url, "-json", "history").stdout)
    assert [row["event"] for row in rows] == ["paused", "resumed"]
    assert rows[0]["author"].startswith("ada@")
    assert len(ctl(url, "history", "-n", "1").stdout.splitlines()) == 2


def test_watch_shows_each_change(url: str, tmp_path: Path) -> None:
    store = connect(url)
    command = python("locksmith", "-endpoint", url, "watch")
    with Running(command, tmp_path / "log") as watching:
        watching.wait_for(lambda: "1 of 1 slots free" in watching.tail(), "the state is shown")
        put_semaphore(store, ["a"], slots=3)
        watching.wait_for(lambda: "max 1 -> 3" in watching.tail(), "the new size")
        watching.wait_for(lambda: "a: holds a slot" in watching.tail(), "the new holder")
        put_semaphore(store, [], slots=3)
        wait_until(lambda: "a: slot released" in watching.tail(), "the free slot")
        watching.process.kill()
        watching.process.wait(30)
