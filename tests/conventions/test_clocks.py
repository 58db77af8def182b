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
    "coordinator/server/drive_loop.py": "shows since when there is a leader",
    "coordinator/server/cluster_service.py": "names a backup by its date",
    "coordinator/server/startup.py": "anchors the cluster's clock, which then only goes on",
    "coordinator/storage/disaster_recovery.py": "anchors the cluster's clock, and names a copy",
    "coordinator/storage/backup_schedule.py": "names backups by their dates, and sorts them",
    "coordinator/ctl/migration.py": "the expirations in a listing of etcd are dates",
    "coordinator/client/mirror.py": "the age of a copy on the disk, which outlives a reboot",
    "coordinator/client/v3/v3_store.py": "the expirations in etcd's lease ids are dates",
    "coordinator/client/v3/gateway.py": "the expirations in etcd's lease ids are dates",
    "vulcan/control/apply.py": "dates a revision in the history",
    "vulcan/control/heartbeat.py": "shows the age of what other nodes reported",
    "vulcan/proxy/accesslog.py": "dates a line of the access log",
}
BOOT_READERS = {
    "coordinator/server/drive_loop.py": "leases and the times to live of keys",
    "locksmith/agent/slot_wait.py": "how long a host has waited for its turn, for other hosts",
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
