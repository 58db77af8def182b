"""Who this host is and which of its lives this is."""

import socket
from dataclasses import dataclass
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# machine-id(5): what stands in the file before the first boot has chosen an id.
UNSET = "uninitialized"


class NoIdentity(OSError):  # noqa: N818 - the message is read by an operator
    """An id cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Host:
    """One boot of one machine. `boot_id` changes with every start of the kernel."""

    machine_id: str
    boot_id: str
    hostname: str


def read(machine_id: Path = MACHINE_ID, boot_id: Path = BOOT_ID) -> Host:
    """Return this host, or raise NoIdentity."""
    return Host(_id(machine_id), _id(boot_id), socket.gethostname())


def _id(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except OSError as error:
        raise NoIdentity(f"{path}: {error.strerror}") from error
    if not text or text == UNSET:
        raise NoIdentity(f"{path} holds no id yet: run systemd-machine-id-setup")
    return text
