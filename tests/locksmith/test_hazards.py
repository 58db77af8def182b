"""Failures around a reboot, with real processes and stores. No slot may be held twice.

The reboot itself is a command that writes a line: `rebooted` counts the orders.
"""

import http.server
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from coordinator.client import connect
from coordinator.client.core.store_protocol import Store
from daemonkit.host import machine_id
from fleet.ctl.arguments import REBOOT_DRAIN_S, STOP_S
from locksmith.core import keys, records
from locksmith.core.records import Failure, Heartbeat, HolderRecord, Pause, Phase
from locksmith.core.window import parse_duration
from locksmith.settings import Settings
from locksmith.store.semaphore_client import DAEMON
from rig import processes
from rig.isolation import require_isolation
from rig.processes import ROOT, Coordinator, free_port, python, require, wait_until
from tests.locksmith.locksmithd import Locksmithd, has, holders, put_semaphore
from tests.locksmith.own_host import own_host
from tests.locksmith.store_kinds import KINDS

HOST = own_host()
OWN = HOST.machine_id
Start = Callable[..., Locksmithd]
BEFORE = HolderRecord("an-earlier-boot", HOST.hostname, "2026-01-01T00:00:00Z", Phase.REBOOTING)


def orders(daemon: Locksmithd) -> int:
    return len(daemon.rebooted.read_text().split()) if daemon.rebooted.exists() else 0


def hook(directory: Path, name: str, script: str) -> Path:
    path = directory / "hooks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def waiting_drain(directory: Path) -> tuple[Path, Path]:
    """Install a drain hook that creates one file when it begins, and waits for another one."""
    begun, go = directory / "begun", directory / "go"
    hook(directory, "pre-reboot.d/drain", f"touch {begun}; until [ -e {go} ]; do sleep 0.05; done")
    return begun, go


def record_of(store: Store) -> HolderRecord | None:
    if not has(store, keys.holder("", OWN)):
        return None
    return records.decode(store.get(keys.holder("", OWN)).value, HolderRecord)


def request_reboot(directory: Path) -> None:
    (directory / "reboot-required").write_text("kernel\n")


def waits_for(daemon: Locksmithd, text: str) -> None:
    daemon.wait_for(lambda: text in "; ".join(daemon.state()["waits_for"]), f"waits for {text!r}")


def test_host_that_needs_a_reboot_gets_a_slot_and_reboots(
    url: str, start: Start, tmp_path: Path
) -> None:
    store = connect(url)
    daemon = start()
    daemon.wait_ready()
    request_reboot(tmp_path)
    daemon.wait_for(lambda: orders(daemon) == 1, "the reboot is ordered")
    assert holders(store) == [OWN]
    record = record_of(store)
    assert record is not None
    assert (record.phase, record.by, record.token > 0) == (Phase.REBOOTING, DAEMON, True)
    assert record.reasons[0].endswith("kernel")


def test_freed_slot_is_acquired_within_two_seconds(url: str, start: Start, tmp_path: Path) -> None:
    store = connect(url)
    put_semaphore(store, ["another"], slots=1)
    request_reboot(tmp_path)
    daemon = start()
    waits_for(daemon, "all slots are taken")
    freed_s = time.monotonic()
    put_semaphore(store, [], slots=1)
    wait_until(lambda: OWN in holders(store), "the slot is taken")
    assert time.monotonic() - freed_s < 2.0


@pytest.mark.parametrize("strategy", ["etcd-lock", "best-effort", "reboot"])
def test_without_a_store_the_strategy_decides(strategy: str, tmp_path: Path) -> None:
    request_reboot(tmp_path)
    arguments = ["--strategy", strategy, "--best-effort-wait", "1s"]
    with Locksmithd(tmp_path, f"http://127.0.0.1:{free_port()}", *arguments) as daemon:
        if strategy == "etcd-lock":
            waits_for(daemon, "store: unreachable; no reboot without a slot")
            assert orders(daemon) == 0
        else:
            daemon.wait_for(lambda: orders(daemon) == 1, "it reboots without a slot")


def test_host_with_strategy_off_never_reboots(url: str, start: Start, tmp_path: Path) -> None:
    request_reboot(tmp_path)
    daemon = start("--strategy", "off")
    daemon.wait_ready()
    wait_until(lambda: daemon.state()["reasons"], "the need is seen")
    assert daemon.state()["phase"] == "idle"
    assert not has(connect(url), keys.ticket("", OWN))


def test_store_lost_between_grant_and_reboot_stops_the_reboot(tmp_path: Path) -> None:
    port, (begun, go) = free_port(), waiting_drain(tmp_path)
    request_reboot(tmp_path)
    with Coordinator(tmp_path, port=port) as first:
        daemon = Locksmithd(tmp_path, first.url)
        daemon.wait_for(begun.exists, "the drain runs")
        first.kill()
    go.touch()
    waits_for(daemon, "keeping the slot, not rebooting")
    assert orders(daemon) == 0
    with Coordinator(tmp_path, port=port) as second:
        daemon.wait_for(lambda: orders(daemon) == 1, "it reboots once the store is back")
        assert holders(connect(second.url)) == [OWN]
        daemon.stop()


def test_daemon_waits_for_an_unreachable_store_after_the_boot(tmp_path: Path) -> None:
    port = free_port()
    with Coordinator(tmp_path, port=port) as first:
        store = connect(first.url)
        put_semaphore(store, [OWN])
        store.put(keys.holder("", OWN), records.encode(BEFORE))
    with Locksmithd(tmp_path, f"http://127.0.0.1:{port}", "--healthy-timeout", "1s") as daemon:
        daemon.wait_for(lambda: daemon.state()["release_error"], "the store is missed")
        with Coordinator(tmp_path, port=port) as second:
            daemon.wait_for(lambda: holders(connect(second.url)) == [], "the slot is released")


def test_daemon_killed_while_draining_continues(url: str, start: Start, tmp_path: Path) -> None:
    begun, go = waiting_drain(tmp_path)
    request_reboot(tmp_path)
    first = start()
    first.wait_for(begun.exists, "the drain runs")
    first.kill()
    begun.unlink()
    second = Locksmithd(tmp_path, url)
    with second:
        second.wait_for(begun.exists, "the drain runs again")
        assert holders(connect(url)) == [OWN]
        go.touch()
        second.wait_for(lambda: orders(second) == 1, "the reboot is ordered")


def test_daemon_killed_after_ordering_the_reboot_orders_it_again(
    url: str, start: Start, tmp_path: Path
) -> None:
    request_reboot(tmp_path)
    first = start()
    first.wait_for(lambda: orders(first) == 1, "the reboot is ordered")
    first.kill()
    with Locksmithd(tmp_path, url) as second:
        second.wait_for(lambda: orders(second) == 2, "the reboot is ordered again")
        assert holders(connect(url)) == [OWN]


def test_daemon_killed_while_acquiring_a_slot_continues(
    url: str, start: Start, tmp_path: Path
) -> None:
    store = connect(url)
    half = HolderRecord(HOST.boot_id, HOST.hostname, "2026-01-01T00:00:00Z", Phase.ACQUIRING)
    put_semaphore(store, [OWN], slots=1)
    store.put(keys.holder("", OWN), records.encode(msgspec.structs.replace(half, by=DAEMON)))
    request_reboot(tmp_path)
    daemon = start()
    daemon.wait_for(lambda: orders(daemon) == 1 or not holders(store), "it went on or gave back")
    daemon.wait_for(lambda: orders(daemon) == 1, "the reboot is ordered")


def test_daemon_killed_during_the_health_check_checks_again(
    url: str, start: Start, tmp_path: Path
) -> None:
    store, good = connect(url), tmp_path / "good"
    put_semaphore(store, [OWN])
    store.put(keys.holder("", OWN), records.encode(BEFORE))
    hook(tmp_path, "healthy.d/service", f"test -e {good}")
    first = start()
    first.wait_for(lambda: (r := record_of(store)) and r.phase is Phase.CHECKING, "it checks")
    first.kill()
    good.touch()
    with Locksmithd(tmp_path, url) as second:
        second.wait_for(lambda: holders(store) == [], "the slot is released")


def test_daemon_stopped_until_after_its_deadline_does_not_reboot(
    url: str, start: Start, tmp_path: Path
) -> None:
    begun, go = waiting_drain(tmp_path)
    request_reboot(tmp_path)
    daemon = start("--deadline", "2s")
    daemon.wait_for(begun.exists, "the drain runs")
    daemon.process.send_signal(signal.SIGSTOP)
    go.touch()
    stopped_s = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped_s > 2.5, "the deadline passes")
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_for(lambda: "deadline" in daemon.tail(), "it notices")
    daemon.wait_for(lambda: holders(connect(url)) == [], "the slot is released")
    assert orders(daemon) == 0


def test_slot_given_to_another_host_stops_the_reboot(
    url: str, start: Start, tmp_path: Path
) -> None:
    store, (begun, go) = connect(url), waiting_drain(tmp_path)
    request_reboot(tmp_path)
    daemon = start()
    daemon.wait_for(begun.exists, "the drain runs")
    daemon.process.send_signal(signal.SIGSTOP)
    put_semaphore(store, ["another"], slots=1)
    go.touch()
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_for(lambda: "taken away" in daemon.tail(), "it notices")
    assert orders(daemon) == 0
    assert holders(store) == ["another"]


def test_grant_of_a_clone_is_not_released_by_this_host(
    url: str, start: Start, tmp_path: Path
) -> None:
    store, (begun, go) = connect(url), waiting_drain(tmp_path)
    request_reboot(tmp_path)
    daemon = start()
    daemon.wait_for(begun.exists, "the drain runs")
    theirs = HolderRecord("clone-boot", "clone", "2026-01-01T00:00:00Z", Phase.HELD, token=7)
    store.put(keys.holder("", OWN), records.encode(theirs))
    go.touch()
    daemon.wait_for(lambda: "one machine-id" in daemon.tail(), "it notices")
    assert holders(store) == [OWN]
    assert orders(daemon) == 0


def test_live_host_with_the_same_machine_id_blocks_the_reboot(
    url: str, start: Start, tmp_path: Path
) -> None:
    daemon = start()
    daemon.wait_ready()
    other = Heartbeat("twin", "boot-of-twin", "", "1")
    connect(url).put(keys.host(OWN), records.encode(other), ttl_s=60)
    wait_until(
        lambda: "twin" in daemon.state()["machine_id_shared_with"], "the duplicate is reported"
    )
    request_reboot(tmp_path)
    waits_for(daemon, "machine-id: shared with twin")
    assert orders(daemon) == 0


def test_corrupt_semaphore_blocks_the_reboot_and_is_not_changed(
    url: str, start: Start, tmp_path: Path
) -> None:
    store = connect(url)
    store.put(keys.semaphore(""), "somebody's notes")
    request_reboot(tmp_path)
    daemon = start()
    wait_until(lambda: keys.semaphore("") in daemon.tail(), "the key is named")
    assert orders(daemon) == 0
    assert store.get(keys.semaphore("")).value == "somebody's notes"


def test_failed_drain_releases_the_slot(url: str, start: Start, tmp_path: Path) -> None:
    undone = tmp_path / "undone"
    hook(tmp_path, "pre-reboot.d/drain", "echo no spare capacity; exit 1")
    hook(tmp_path, "abort.d/undo", f"touch {undone}")
    request_reboot(tmp_path)
    daemon = start()
    daemon.wait_for(
        lambda: "no spare capacity" in daemon.tail(), "the output of the drain is logged"
    )
    daemon.wait_for(lambda: holders(connect(url)) == [], "the slot is released")
    assert undone.exists()
    assert orders(daemon) == 0


def test_drain_that_hangs_is_killed(url: str, start: Start, tmp_path: Path) -> None:
    hook(tmp_path, "pre-reboot.d/drain", "sleep 600")
    request_reboot(tmp_path)
    daemon = start("--hook-timeout", "1s")
    daemon.wait_for(lambda: "timed out" in daemon.tail(), "the drain is ended")
    daemon.wait_for(lambda: holders(connect(url)) == [], "the slot is released")


def test_refused_reboot_releases_the_slot(url: str, start: Start, tmp_path: Path) -> None:
    request_reboot(tmp_path)
    daemon = start("--reboot-command", "echo an inhibitor >&2; exit 1")
    daemon.wait_for(lambda: "reboot was refused" in daemon.tail(), "the refusal is logged")
    daemon.wait_for(lambda: holders(connect(url)) == [], "the slot is released")


@pytest.mark.parametrize("key", [keys.PAUSED_FLEET, keys.paused_group(""), keys.paused_host(OWN)])
def test_pause_during_the_drain_stops_the_reboot(
    url: str, start: Start, tmp_path: Path, key: str
) -> None:
    store, (begun, go) = connect(url), waiting_drain(tmp_path)
    request_reboot(tmp_path)
    daemon = start()
    daemon.wait_for(begun.exists, "the drain runs")
    pause = Pause("freeze", "me", "2026-01-01T00:00:00Z")
    store.put(key, records.encode(pause))
    go.touch()
    daemon.wait_for(lambda: holders(store) == [], "the slot is released")
    waits_for(daemon, "freeze")
    assert orders(daemon) == 0


def test_failing_pre_lock_hook_keeps_the_host_out_of_the_queue(
    url: str, start: Start, tmp_path: Path
) -> None:
    hook(tmp_path, "pre-lock.d/ticket", "echo no change ticket; exit 75")
    request_reboot(tmp_path)
    daemon = start()
    waits_for(daemon, "no change ticket")
    assert not has(connect(url), keys.ticket("", OWN))


def test_unhealthy_host_keeps_its_slot_and_halts_its_group(
    url: str, start: Start, tmp_path: Path
) -> None:
    store, good = connect(url), tmp_path / "good"
    put_semaphore(store, [OWN])
    store.put(keys.holder("", OWN), records.encode(BEFORE))
    hook(tmp_path, "healthy.d/service", f"test -e {good} || {{ echo no service; exit 1; }}")
    daemon = start("--healthy-timeout", "1s")
    daemon.wait_for(lambda: has(store, keys.failure("", OWN)), "the failure is counted")
    failure = records.decode(store.get(keys.failure("", OWN)).value, Failure)
    assert failure is not None
    assert "no service" in failure.reason
    record = record_of(store)
    assert record is not None
    assert record.phase is Phase.FAILED
    assert holders(store) == [OWN]
    request_reboot(tmp_path)
    waits_for(daemon, "halted")
    good.touch()
    (tmp_path / "reboot-required").unlink()
    assert processes.run(python("locksmith", "-endpoint", url, "resume")).returncode == 0
    daemon.wait_for(lambda: holders(store) == [], "the slot is released")


def test_failure_of_another_host_halts_this_host(url: str, start: Start, tmp_path: Path) -> None:
    failure = Failure("web-7", "boot", "2026-01-01T00:00:00Z", "no disk")
    connect(url).put(keys.failure("", "seven"), records.encode(failure))
    request_reboot(tmp_path)
    daemon = start()
    waits_for(daemon, "halted: failed hosts: web-7")


def test_lost_host_is_reported_and_its_slot_reclaimed_only_within_a_budget(
    url: str, start: Start, tmp_path: Path
) -> None:
    store = connect(url)
    gone = HolderRecord(
        "b", "web-7", "2026-01-01T00:00:00Z", Phase.REBOOTING, deadline="2026-01-01T00:30:00Z"
    )
    put_semaphore(store, ["seven"], slots=1)
    store.put(keys.holder("", "seven"), records.encode(gone))
    holding = start()
    holding.wait_for(lambda: "event=lost" in holding.tail(), "the loss is logged")
    assert holders(store) == ["seven"]
    holding.stop()
    with Locksmithd(tmp_path, url, "--reclaim-lost", "1") as daemon:
        daemon.wait_for(lambda: holders(store) == [], "the slot is reclaimed")
        assert has(store, keys.failure("", "seven"))


def test_host_with_a_full_disk_still_reboots(url: str, tmp_path: Path) -> None:
    require_isolation()
    state = tmp_path / "state"
    state.mkdir()
    request_reboot(tmp_path)
    fill = f"mount -t tmpfs -o size=4k tmpfs {state}; head -c 8192 /dev/zero >{state}/x || true"

    wrapped = [require("unshare"), "--mount", "sh", "-c", f'{fill}; exec "$@"', "sh"]
    daemon = Locksmithd(tmp_path, url, "--state-dir", str(state), wrapper=wrapped)
    with daemon:
        daemon.wait_for(lambda: orders(daemon) == 1, "the reboot is ordered")
        assert "state-not-saved" in daemon.tail()
        assert holders(connect(url)) == [OWN]


def test_events_are_written_to_the_history(url: str, start: Start, tmp_path: Path) -> None:
    request_reboot(tmp_path)
    daemon = start()
    daemon.wait_for(lambda: orders(daemon) == 1, "the reboot is ordered")
    entries = connect(url).list(keys.HISTORY).entries
    events = [json.loads(one.value)["event"] for one in sorted(entries, key=lambda e: e.created)]
    assert events == ["waiting", "granted", "draining", "rebooting"]


def test_webhook_receives_each_event(url: str, start: Start, tmp_path: Path) -> None:
    posted: list[dict[str, object]] = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        request_reboot(tmp_path)
        daemon = start("--notify-url", f"http://127.0.0.1:{server.server_port}/hook")
        daemon.wait_for(lambda: len(posted) >= 4, "four events are posted")
        server.shutdown()
        thread.join()
    assert [one["event"] for one in posted] == ["waiting", "granted", "draining", "rebooting"]
    assert posted[0]["id"] == OWN


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_host_leaves_the_queue_when_it_no_longer_needs_a_reboot(kind: str, tmp_path: Path) -> None:
    with KINDS[kind](tmp_path) as server:
        store = connect(server.url)
        put_semaphore(store, ["another"], slots=1)
        request_reboot(tmp_path)
        with Locksmithd(tmp_path, server.url) as daemon:
            daemon.wait_for(lambda: has(store, keys.ticket("", OWN)), "it waits in the queue")
            (tmp_path / "reboot-required").unlink()
            daemon.wait_for(lambda: not has(store, keys.ticket("", OWN)), "it has left")


def test_host_whose_reboot_does_not_help_pauses_until_an_operator_lets_it_go_on(
    url: str, tmp_path: Path
) -> None:
    """The boots are processes that read a boot id of their own."""
    require_isolation()
    need = ["--need-command", "echo an old kernel runs", "--state-dir", str(tmp_path / "state")]

    def boot(number: int) -> Locksmithd:
        boot_id = tmp_path / f"boot-{number}"
        boot_id.write_text(f"boot-{number}\n")
        mount = f'mount --bind {boot_id} {machine_id.BOOT_ID}; exec "$@"'
        wrapped = [require("unshare"), "--mount", "sh", "-c", mount, "sh"]
        return Locksmithd(tmp_path, url, *need, wrapper=wrapped)

    def why() -> str:
        return processes.run(python("locksmith", "-endpoint", url, "why", HOST.hostname)).stdout

    with boot(1) as daemon:
        daemon.wait_for(lambda: orders(daemon) == 1, "the reboot is ordered")
    with boot(2) as daemon:
        daemon.wait_for(lambda: orders(daemon) == 2, "the reboot is ordered again at once")
    with boot(3) as daemon:
        waits_for(daemon, "reboot loop: the need is back after 2 in a row; pause until")
        wait_until(lambda: "Waits for: reboot loop" in why(), "the verdict is published")
        assert "Reboots in a row: 2" in why()
        assert holders(connect(url)) == []
        resumed = processes.run(python("locksmith", "-endpoint", url, "resume", HOST.hostname))
        assert resumed.stdout == f"Resumed: {HOST.hostname}\n"
        daemon.wait_for(lambda: orders(daemon) == 3, "the reboot is ordered")


def test_fleet_hook_ends_before_the_time_limit_of_a_hook(
    url: str, start: Start, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    fleetctl = hook(tmp_path, "bin/fleetctl", f'echo "$@" >{seen}')
    shipped = (ROOT / "systemd/locksmith/pre-reboot.d/50-fleet").read_text().split("\n", 1)[1]
    hook(tmp_path, "pre-reboot.d/50-fleet", f"PATH={fleetctl.parent}:$PATH\n{shipped}")
    request_reboot(tmp_path)
    daemon = start("--hook-timeout", "400s")
    daemon.wait_for(lambda: orders(daemon) == 1, "the reboot is ordered")
    assert "drain self --reboot --deadline 200 --reason" in seen.read_text()
    default_s = parse_duration(Settings().hook_timeout).total_seconds()
    assert default_s / 2 == REBOOT_DRAIN_S
    assert default_s - 30.0 > REBOOT_DRAIN_S + STOP_S
