"""`locksmithd` as a process on real stores: status page, heartbeat, release after a reboot."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import Heartbeat, HolderRecord, Phase
from locksmith.store.group_client import HISTORY_MAX, GroupClient
from rig.isolation import require_isolation
from rig.processes import Running, python, require, wait_until
from tests.locksmith.locksmithd import Locksmithd, has, holders, put_semaphore
from tests.locksmith.own_host import own_host
from tests.locksmith.store_kinds import KINDS

HOST = own_host()
BEFORE = HolderRecord("an-earlier-boot", HOST.hostname, "2026-01-01T00:00:00Z", Phase.HELD)


def test_status_page_follows_the_semaphore(url: str, start: Callable[..., Locksmithd]) -> None:
    store = connect(url)
    daemon = start("-group", "web")
    daemon.wait_ready()
    state = daemon.state()
    assert state["semaphore"]["exists"] is False
    assert (state["semaphore"]["available"], state["semaphore"]["max"]) == (1, 1)
    put_semaphore(store, ["somebody"], "web", slots=3)
    wait_until(lambda: daemon.state()["semaphore"]["max"] == 3, "the new semaphore is shown")
    shown = daemon.state()["semaphore"]
    assert shown["available"] == 2
    assert [(one["id"], one["known"]) for one in shown["holders"]] == [("somebody", False)]
    metrics = daemon.get("/metrics")[1]
    for line in (
        'locksmith_semaphore_slots{group="web"} 3.0',
        'locksmith_semaphore_available{group="web"} 2.0',
        'locksmith_semaphore_holders{group="web"} 1.0',
        'locksmith_semaphore_holders_unknown{group="web"} 1.0',
        'locksmith_semaphore_held{group="web"} 0.0',
        'locksmith_hosts{group="web"} 1.0',
        "locksmith_mirror_connected 1.0",
    ):
        assert line in metrics.splitlines()


def test_live_host_has_a_heartbeat(url: str, start: Callable[..., Locksmithd]) -> None:
    store = connect(url)
    daemon = start("-group", "web", "--strategy", "off")
    daemon.wait_ready()
    entry = store.get(keys.host(HOST.machine_id))
    beat = records.decode(entry.value, Heartbeat)
    assert beat is not None
    assert (beat.hostname, beat.boot_id, beat.group) == (HOST.hostname, HOST.boot_id, "web")
    assert entry.expires_at is not None
    assert daemon.stop() == 0
    assert has(store, keys.host(HOST.machine_id)), "a restart is not an absence"


def test_daemon_releases_the_slot_of_an_earlier_boot(
    url: str, start: Callable[..., Locksmithd]
) -> None:
    store = connect(url)
    put_semaphore(store, ["another", HOST.machine_id])
    store.put(keys.holder("", HOST.machine_id), records.encode(BEFORE))
    daemon = start()
    daemon.wait_for(lambda: holders(store) == ["another"], "the slot is released")
    wait_until(lambda: not has(store, keys.holder("", HOST.machine_id)), "the record is gone")
    wait_until(lambda: "released" in daemon.state()["start_check"], "the result is shown")
    assert "locksmith_slots_released_total 1.0" in daemon.get("/metrics")[1].splitlines()


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (None, "no record"),
        (msgspec.structs.replace(BEFORE, boot_id=HOST.boot_id), "in this boot"),
        (msgspec.structs.replace(BEFORE, phase=Phase.ACQUIRING), "proves nothing"),
    ],
)
def test_daemon_keeps_every_other_slot(
    url: str, start: Callable[..., Locksmithd], record: HolderRecord | None, why: str
) -> None:
    store = connect(url)
    put_semaphore(store, [HOST.machine_id])
    if record is not None:
        store.put(keys.holder("", HOST.machine_id), records.encode(record))
    daemon = start()
    daemon.wait_for(lambda: daemon.get("/ready")[0] == 200, "locksmithd ready")
    wait_until(lambda: why in daemon.state()["start_check"], "the result is shown")
    assert holders(store) == [HOST.machine_id]


def test_daemon_deletes_the_record_of_a_slot_that_was_taken_away(
    url: str, start: Callable[..., Locksmithd]
) -> None:
    store = connect(url)
    put_semaphore(store, [HOST.machine_id])
    now = msgspec.structs.replace(BEFORE, boot_id=HOST.boot_id)
    store.put(keys.holder("", HOST.machine_id), records.encode(now))
    daemon = start()
    wait_until(lambda: daemon.get("/ready")[0] == 200, "ready")
    wait_until(lambda: "in this boot" in daemon.state()["start_check"], "the start check is over")
    put_semaphore(store, [])  # as a Go peer unlocks: our record stays behind
    wait_until(lambda: not has(store, keys.holder("", HOST.machine_id)), "the record is forgotten")


def test_daemon_reports_a_host_with_the_same_machine_id(
    url: str, start: Callable[..., Locksmithd]
) -> None:
    daemon = start()
    daemon.wait_ready()
    other = Heartbeat("twin", "boot-of-twin", "", "1")
    connect(url).put(keys.host(HOST.machine_id), records.encode(other), ttl_s=60)
    wait_until(
        lambda: "twin" in daemon.state()["machine_id_shared_with"], "the duplicate is reported"
    )
    assert "event=machine-id-shared" in daemon.tail()


def test_daemon_shows_a_corrupt_semaphore_and_does_not_change_it(
    url: str, start: Callable[..., Locksmithd]
) -> None:
    store = connect(url)
    store.put(keys.semaphore(""), "somebody's notes")
    daemon = start()
    daemon.wait_ready()
    assert daemon.state()["semaphore"]["corrupt"]
    metrics = daemon.get("/metrics")[1]
    assert 'locksmith_semaphore_corrupt{group=""} 1.0' in metrics.splitlines()
    assert store.get(keys.semaphore("")).value == "somebody's notes"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_daemon_starts_without_its_store_and_catches_up(kind: str, tmp_path: Path) -> None:
    with KINDS[kind](tmp_path) as first:
        url = first.url
        connect(url).put(keys.semaphore(""), '{"semaphore":5,"max":5,"holders":null}')
        with Locksmithd(tmp_path, url, "--state-dir", str(tmp_path)) as daemon:
            daemon.wait_ready()
    with Locksmithd(tmp_path, url, "--state-dir", str(tmp_path)) as daemon:
        daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "locksmithd up without a store")
        wait_until(lambda: daemon.state()["semaphore"], "the last snapshot is shown")
        assert daemon.state()["semaphore"]["max"] == 5
        assert daemon.state()["mirror"]["connected"] is False
        assert daemon.get("/ready")[0] == 503
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--strategy", "maybe"], "maybe"),
        (["--exclude", "tomorrow"], "tomorrow"),
        (["--time-zone", "Middle/Earth"], "Middle/Earth"),
        (["--settle", "1j"], "1j"),
        (["-group", "_x"], "_x"),
        (["-group", ".."], "'..'"),
        (["--window", "x"], "window 'x'"),
        (["-endpoint", "ftp://x"], "ftp://x"),
    ],
)
def test_wrong_use_ends_the_daemon_with_a_message(
    tmp_path: Path, arguments: list[str], named: str
) -> None:
    with Running(python("locksmith", "daemon", *arguments), tmp_path / "log") as refused:
        assert refused.process.wait(30) in {1, 2}
        assert named in refused.tail()


def test_daemon_leaves_out_records_that_nobody_can_read(
    url: str, start: Callable[..., Locksmithd]
) -> None:
    store = connect(url)
    put_semaphore(store, ["abc"])
    daemon = start()
    daemon.wait_ready()
    deep = '{"x":' * 5000 + "1" + "}" * 5000
    for key in (keys.host("abc"), keys.holder("", "abc"), keys.ticket("", "abc")):
        store.put(key, deep)
    unreadable = 'locksmith_records_unreadable{group=""} 3.0'
    daemon.wait_for(
        lambda: unreadable in daemon.get("/metrics")[1].splitlines(), "they are noticed"
    )
    assert daemon.state()["semaphore"]["unreadable"][keys.host("abc")]
    assert "event=record-unreadable" in daemon.tail()
    put_semaphore(store, [])
    daemon.wait_for(lambda: daemon.state()["semaphore"]["available"] == 2, "it goes on")


@pytest.mark.parametrize("content", ["", "uninitialized\n"])
def test_daemon_runs_on_a_host_without_a_machine_id(url: str, tmp_path: Path, content: str) -> None:
    require_isolation()
    (tmp_path / "empty").write_text(content)
    mount = f'mount --bind {tmp_path}/empty /etc/machine-id; exec "$@"'
    wrapper = [require("unshare"), "--mount", "sh", "-c", mount, "sh"]
    state = tmp_path / "state"
    with Locksmithd(tmp_path, url, "--state-dir", str(state), wrapper=wrapper) as daemon:
        daemon.wait_ready()
        own = daemon.state()["host"]["machine_id"]
    assert own == (state / "machine-id").read_text().strip() != HOST.machine_id
    with Locksmithd(tmp_path, url, "--state-dir", str(state), wrapper=wrapper) as daemon:
        assert daemon.state()["host"]["machine_id"] == own


def test_daemon_keeps_only_what_concerns_its_host(
    url: str, start: Callable[..., Locksmithd], tmp_path: Path
) -> None:
    store = connect(url)
    for number in range(HISTORY_MAX + 20):
        event = records.GroupEvent("2026-01-01T00:00:00Z", "granted", "x", detail=str(number))
        GroupClient(store, "web").append_history(event)
    store.put(keys.ticket("other", "abc"), "of another group")
    put_semaphore(store, ["somebody"], "web", slots=3)
    daemon = start("-group", "web", "--state-dir", str(tmp_path / "state"))
    daemon.wait_ready()
    history = f"{keys.HISTORY}/{keys.segment('web')}"
    daemon.wait_for(
        lambda: len(store.list(history).entries) <= HISTORY_MAX, "the history is pruned"
    )
    left = sorted(store.list(history).entries, key=lambda entry: entry.created)
    assert json.loads(left[0].value)["detail"] == "20"
    assert daemon.state()["semaphore"]["max"] == 3
    assert daemon.stop() == 0
    saved = (tmp_path / "state" / "rebootlock.snapshot").read_bytes()
    assert keys.semaphore("web").encode() in saved
    assert keys.HISTORY.encode() not in saved
    assert b"of another group" not in saved
