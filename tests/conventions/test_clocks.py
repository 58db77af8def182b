"""Which clock each module reads, and what for.

The wall clock jumps when it is set, and differs between hosts; the monotonic clock of Python stops
while the machine is suspended. So time that passes is measured by the monotonic clock, or by
CLOCK_BOOTTIME where another host counts the same time. The wall clock is for what people and files
are told, and every use of it is listed here with its reason.
"""

import ast
from pathlib import Path

import pytest

from tests.conventions.test_tidy import SHIPPED, TREES, name_of

WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
BOOT = {"time.CLOCK_BOOTTIME"}

WALL_READERS = {
    "coordinator/server/telemetry.py": "shows when the member and its leader started",
    "coordinator/server/drive_loop.py": "shows since when there is a leader, and when keys end",
    "coordinator/server/cluster_service.py": "makes the id of a new member, as etcd does",
    "coordinator/server/access/audit_log.py": "dates the lines of the audit log",
    "coordinator/server/server.py": "the certificates of members end at a date",
    "coordinator/server/startup.py": "begins the cluster's clock, which then only goes on",
    "coordinator/storage/disaster_recovery.py": "anchors the cluster's clock, and names a copy",
    "coordinator/storage/backup_schedule.py": "names backups by their dates, and sorts them",
    "coordinator/ctl/member_commands.py": "says in how many days a certificate ends",
    "coordinator/ctl/migration.py": "the expirations in a listing of etcd are dates",
    "coordinator/client/mirror.py": "the age of a copy on the disk, which outlives a reboot",
    "coordinator/client/v3/v3_store.py": "the expirations in etcd's lease ids are dates",
    "coordinator/client/v3/gateway.py": "the expirations in etcd's lease ids are dates",
    "coordinator/client/memory_store.py": "the expirations of keys are dates in the API",
    "daemonkit/http/server.py": "certificates end at a date",
    "skydns/worker.py": "the version of the zone that SOA shows",
    "confd/sources/host_functions.py": "the date that a template may print",
    "vulcan/control/apply.py": "dates a revision in the history",
    "vulcan/control/heartbeat.py": "shows the age of what other nodes reported",
    "vulcan/proxy/accesslog.py": "dates a line of the access log",
    "fleet/clock.py": "dates a signed request, which is refused when it is old",
    "fleet/scheduler/scheduler.py": "dates what it writes into records, and reads none of them",
    "slashetc/doctor/examination.py": "judges the clock; certificates end at dates",
    "slashetc/status/fleet_reader.py": "dates a status; certificates end at dates",
    "slashetc/status/member_client.py": "compares the clocks of this host and of members",
    "locksmith/agent/host_view.py": "windows are times of day; says when this host booted",
    "locksmith/agent/immediate_slot.py": "dates a grant and its deadline",
    "locksmith/agent/post_reboot_check.py": "how long this host held its slot; dates a failure",
    "locksmith/agent/reboot_row.py": "dates the reboots of this host, over its reboots",
    "locksmith/agent/reclaim.py": "deadlines of others, with a minute of grace for clocks",
    "locksmith/agent/slot_wait.py": "windows are times of day; dates a grant and its deadline",
    "locksmith/ctl/group.py": "dates the lines of `watch`",
    "locksmith/ctl/hosts.py": "shows whether a deadline has passed",
    "locksmith/ctl/pauses.py": "the end of a pause is a date",
    "locksmith/ctl/slots.py": "dates a slot",
    "locksmith/daemon.py": "dates the need of a reboot; a metric of deadlines",
    "locksmith/fleetlock/fleetlock_slots.py": "dates slots and events",
    "locksmith/store/events.py": "dates events",
    "locksmith/store/group_client.py": "sorts events by their dates",
    "slashetc/ctl/access_commands.py": "dates an eviction: certificates have dates",
    "slashetc/join/joining.py": "names a copy of an earlier member's data",
    "slashetc/join/own_requests.py": "the dates of certificates",
    "slashetc/join/tokens_made.py": "dates a token and its end",
}
BOOT_READERS = {
    "coordinator/server/drive_loop.py": "leases and the times to live of keys",
    "fleet/clock.py": "leases of the scheduler, of hosts and of exclusive units",
    "locksmith/host/boot_clock.py": "deadlines, also while a host is suspended",
}


def _used(path: Path) -> set[str]:
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


@pytest.mark.parametrize(
    ("clock", "readers"),
    [(WALL, WALL_READERS), (BOOT, BOOT_READERS)],
    ids=["the wall clock", "the clock that counts suspended time"],
)
def test_every_use_of_a_clock_has_a_reason(clock: set[str], readers: dict[str, str]) -> None:
    found = {name_of(path) for path in SHIPPED if clock & _used(path)}
    assert found == set(readers)


def test_no_core_reads_a_clock() -> None:
    reading = {
        name_of(path)
        for path in SHIPPED
        if "core" in path.parts
        for name in _used(path)
        if name in WALL | BOOT or name in {"time.monotonic", "time.perf_counter"}
    }
    assert not reading
