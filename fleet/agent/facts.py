"""The resources of this host, and its load."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from daemonkit.host import machine_id
from fleet.core.model import Facts, HostLoad

PRESSURE = Path("/proc/pressure/cpu")
# The memory that the host needs for itself. Jobs get the rest.
RESERVED_CPU, RESERVED_MEMORY = 100, 128 << 20


def read(address: str, labels: dict[str, str], version: str, state_dir: Path) -> Facts:
    """Return this host's facts. Raises OSError if it has no machine id and can keep none."""
    release = _release()
    plain = {"arch": os.uname().machine, "os": release.get("ID", "linux")}
    return Facts(
        id=machine_id.read_or_make(state_dir),
        hostname=socket.gethostname(),
        address=address,
        cpu=max(1, 1000 * (psutil.cpu_count() or 1) - RESERVED_CPU),
        memory=max(1, psutil.virtual_memory().total - RESERVED_MEMORY),
        labels={**plain, **labels},
        version=version,
    )


def address_towards(endpoints: str) -> str:
    """Return the address from which this host reaches the store: others reach the host there."""
    parts = [urlsplit(each.strip()) for each in endpoints.split(",")]
    # A Unix socket has no host.
    first = next((each for each in parts if each.hostname), parts[0])
    try:
        target = socket.getaddrinfo(first.hostname, first.port or 80, type=socket.SOCK_DGRAM)[0]
        with socket.socket(target[0], socket.SOCK_DGRAM) as probe:
            probe.connect(target[4])  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def load() -> HostLoad:
    """Return the load of the host: load average per processor, CPU pressure, memory in use."""
    cores = psutil.cpu_count() or 1
    memory = psutil.virtual_memory()
    return HostLoad(
        load=round(os.getloadavg()[0] / cores, 2),
        pressure=round(_pressure(), 2),
        memory=round(1 - memory.available / memory.total, 2),
    )


def differs(before: HostLoad, after: HostLoad) -> bool:
    """Return whether a change of the load is worth a write: the store keeps a history of writes."""
    pairs = ((before.load, after.load), (before.memory, after.memory))
    return any(abs(one - other) > 0.1 for one, other in pairs)


def _pressure() -> float:
    """Return the share of the last ten seconds in which a task waited for a processor."""
    try:
        some = PRESSURE.read_text().split()
    except OSError:  # a kernel without PSI
        return 0.0
    return float(some[1].removeprefix("avg10=")) / 100


def _release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip('"') for name, _, value in pairs}
