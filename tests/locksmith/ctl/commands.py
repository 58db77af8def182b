"""Runs `locksmithctl` as a process, and writes heartbeats of other hosts."""

import os
import subprocess
import sys

from coordinator.client.core.store_protocol import Store
from locksmith.core import keys, records
from locksmith.core.records import Heartbeat
from rig.processes import ROOT


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
