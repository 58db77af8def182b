"""`locksmithctl`'s verbs for a fleet, on real stores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.client import connect
from coordinator.client.core.store_protocol import Store
from locksmith.core import keys, records
from locksmith.core.records import Failure, Heartbeat, HolderRecord, Pause, Phase, Ticket
from locksmith.ctl import pauses
from locksmith.host import identity
from rig.processes import ROOT, Running, python, wait_until
from tests.locksmith.locksmithd import has, holders, put_semaphore

OWN = identity.read().machine_id


def ctl(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "locksmith", "-endpoint", url, *arguments],
        cwd=ROOT,
        env={**os.environ, "SUDO_USER": "ada"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def beat(store: Store, name: str, **fields: object) -> None:
    heart = Heartbeat(name, f"boot-{name}", "", "1", **fields)  # type: ignore[arg-type]
    store.put(keys.host(f"id-{name}"), records.encode(heart), ttl_s=60)


def test_a_pause_has_a_reason_an_author_and_an_end(url: str) -> None:
    store = connect(url)
    assert ctl(url, "pause").returncode == 1
    assert ctl(url, "pause", "--reason", "x", "--for", "soon").returncode == 1
    done = ctl(url, "pause", "fleet", "--reason", "release week", "--for", "8h")
    assert (done.returncode, done.stderr) == (0, "")
    entry = store.get(keys.PAUSED_FLEET)
    pause = records.decode(entry.value, Pause)
    assert pause is not None
    assert pause.reason == "release week"
    assert pause.author.startswith("ada@")
    assert pause.until
    assert entry.expires_at is not None
    assert ctl(url, "resume", "fleet").returncode == 0
    assert not has(store, keys.PAUSED_FLEET)
    assert ctl(url, "resume", "fleet").returncode == 1


def test_a_host_is_paused_by_its_name(url: str) -> None:
    store = connect(url)
    beat(store, "web-7")
    assert ctl(url, "pause", "web-7", "--reason", "disk").returncode == 0
    assert has(store, keys.paused_host("id-web-7"))
    assert "Paused: host by ada" in ctl(url, "why", "web-7").stdout
    assert ctl(url, "resume", "web-7").returncode == 0


def test_resume_forgets_the_groups_failures(url: str) -> None:
    store = connect(url)
    failure = Failure("web-7", "b", "2026-01-01T00:00:00Z", "no disk")
    store.put(keys.failure("", "id-web-7"), records.encode(failure))
    assert ctl(url, "resume").returncode == 0
    assert not has(store, keys.failure("", "id-web-7"))


def test_a_decommissioned_host_is_forgotten_a_living_one_is_not(url: str) -> None:
    store = connect(url)
    record = HolderRecord("b", "web-7", "2026-01-01T00:00:00Z", Phase.REBOOTING)
    put_semaphore(store, ["id-web-7", "other"])
    store.put(keys.holder("", "id-web-7"), records.encode(record))
    beat(store, "web-7")
    refused = ctl(url, "forget", "web-7")
    assert refused.returncode == 1
    assert "is alive" in refused.stderr
    store.delete(keys.host("id-web-7"))
    assert ctl(url, "forget", "web-7").returncode == 0
    assert holders(store) == ["other"]
    assert not has(store, keys.holder("", "id-web-7"))
    assert ctl(url, "forget", "web-7").returncode == 1


def test_why_tells_the_need_and_what_holds_it_up(url: str) -> None:
    beat(connect(url), "web-7", reasons=("kernel",), waits_for=("window: closed",))
    shown = ctl(url, "why", "web-7").stdout
    assert "Needs reboot: kernel\n" in shown
    assert "Waits for: window: closed\n" in shown
    facts = json.loads(ctl(url, "-json", "why", "id-web-7").stdout)
    assert (facts["host"], facts["slot"]) == ("web-7", "none")
    assert ctl(url, "why", "nobody").returncode == 1


def test_the_queue_is_shown_in_order(url: str) -> None:
    store = connect(url)
    for name, priority in (("a", 0), ("b", 0), ("c", 5)):
        beat(store, name)
        ticket = Ticket(name, f"boot-{name}", "2026-01-01T00:00:00Z", priority)
        store.put(keys.ticket("", f"id-{name}"), records.encode(ticket))
    silent = Ticket("d", "boot-d", "2026-01-01T00:00:00Z", 9)
    store.put(keys.ticket("", "id-d"), records.encode(silent))
    rows = json.loads(ctl(url, "-json", "queue").stdout)
    assert [row["host"] for row in rows] == ["c", "a", "b"]


def test_history_tells_who_did_what(url: str) -> None:
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
        wait_until(lambda: "a: slot given back" in watching.tail(), "the free slot")
        watching.process.kill()
        watching.process.wait(15)


def test_a_need_is_sent_by_a_file(tmp_path: Path) -> None:
    sentinel = tmp_path / "run" / "reboot-required"
    pauses.send_need_reboot("new kernel", sentinel)
    assert sentinel.read_text().startswith("new kernel, by ")


@pytest.mark.skipif(os.geteuid() != 0, reason="who is root may reboot")
def test_a_reboot_by_hand_without_a_slot_does_not_happen(url: str) -> None:
    put_semaphore(connect(url), ["another"], slots=1)
    done = ctl(url, "reboot")
    assert (done.returncode, done.stderr) == (1, "Error locking: semaphore is at 0\n")


def test_a_refused_reboot_by_hand_gives_the_slot_back(url: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("who is root may reboot")
    # No bus and no systemctl: the reboot cannot be ordered, whatever machine this is.
    nowhere = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none", "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "locksmith", "-endpoint", url, "reboot"],
        cwd=ROOT,
        env=nowhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the slot was given back" in done.stderr
    assert holders(connect(url)) == []
    assert not has(connect(url), keys.holder("", OWN))
