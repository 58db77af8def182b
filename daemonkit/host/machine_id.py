"""The ids of this host and of its boot: machine-id(5), and random(4)'s boot_id."""

from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# The content of the file before the first boot has chosen an id.
_UNSET = "uninitialized"


class NoMachineId(OSError):  # noqa: N818 - a fact about the host
    """An id cannot be read; the message names the file and the remedy."""


def read(path: Path = MACHINE_ID) -> str:
    """Return this host's id: 32 hexadecimal digits. Raises NoMachineId."""
    try:
        text = path.read_text().strip()
    except OSError as error:
        raise NoMachineId(f"{path}: {error.strerror}") from error
    if not text or text == _UNSET:
        raise NoMachineId(f"{path} holds no id yet: run systemd-machine-id-setup")
    return text


def read_boot_id(path: Path = BOOT_ID) -> str:
    """Return the id of this boot; each start of the kernel has a new one. Raises NoMachineId."""
    return read(path)
