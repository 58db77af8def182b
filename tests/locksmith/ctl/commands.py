"""Runs `locksmithctl` as a process, and writes heartbeats of other hosts."""

import subprocess

from coordinator.client.core.store_protocol import Store
from locksmith.core import keys, records
from locksmith.core.records import Heartbeat
from rig import processes
from rig.processes import python


def ctl(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.run(python("locksmith", "-endpoint", url, *arguments), SUDO_USER="ada")


def beat(store: Store, name: str, **fields: object) -> None:
    heart = Heartbeat(name, f"boot-{name}", "", "1", **fields)  # type: ignore[arg-type]
    store.put(keys.host(f"id-{name}"), records.encode(heart), ttl_s=60)
