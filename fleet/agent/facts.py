"""What this host is, and how busy it is."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from fleet.core.model import Facts, HostLoad

MACHINE_ID = Path("/etc/machine-id")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PRESSURE = Path("/proc/pressure/cpu")
# What the host itself needs; jobs get the rest.
RESERVED_CPU, RESERVED_MEMORY = 100, 128 << 20


def read(address: str, labels: dict[str, str], version: str) -> Facts:
    """Return this host's facts. Raises OSError when it has no machine-id."""
    release = _release()
    plain = {"arch": os.uname().machine, "os": release.get("ID", "linux")}
    return Facts(
        id=own_id(),
        hostname=socket.gethostname(),
        address=address,
        cpu=max(1, 1000 * (psutil.cpu_count() or 1) - RESERVED_CPU),
        memory=max(1, psutil.virtual_memory().total - RESERVED_MEMORY),
        labels={**plain, **labels},
        version=version,
    )


def own_id() -> str:
    """Return this host's id. Raises OSError."""
    return _id(MACHINE_ID)


def boot_id() -> str:
    """Return which boot of the host this is."""
    return _id(BOOT_ID)


def address_towards(endpoints: str) -> str:
    """Return the address by which this host reaches the store: others reach it there, too."""
    parts = urlsplit(endpoints.split(",", maxsplit=1)[0].strip())
    try:
        target = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM)[0]
        with socket.socket(target[0], socket.SOCK_DGRAM) as probe:
            probe.connect(target[4])  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def load() -> HostLoad:
    """Return how busy the host is: load by processor, time that tasks waited for one, memory."""
    cores = psutil.cpu_count() or 1
    memory = psutil.virtual_memory()
    return HostLoad(
        load=round(os.getloadavg()[0] / cores, 2),
        pressure=round(_pressure(), 2),
        memory=round(1 - memory.available / memory.total, 2),
    )


def moved(before: HostLoad, after: HostLoad) -> bool:
    """Say whether it is worth a write: history in the store is shared."""
    pairs = ((before.load, after.load), (before.memory, after.memory))
    return any(abs(one - other) > 0.1 for one, other in pairs)


def _pressure() -> float:
    """Return the share of the last ten seconds in which some task waited for a processor."""
    try:
        some = PRESSURE.read_text().split()
    except OSError:  # a kernel without PSI
        return 0.0
    return float(some[1].removeprefix("avg10=")) / 100


def _id(path: Path) -> str:
    text = path.read_text().strip()
    if not text or text == "uninitialized":
        raise OSError(f"{path} holds no id yet: run systemd-machine-id-setup")
    return text


def _release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip('"') for name, _, value in pairs}
