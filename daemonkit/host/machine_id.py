"""The ids of this host and of its boot: machine-id(5), and random(4)'s boot_id."""

import secrets
from pathlib import Path

from daemonkit.host import atomic_file

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


def read_or_make(state_dir: Path | None, path: Path = MACHINE_ID) -> str:
    """Return this host's id. A host without one, such as a container, keeps its own in `state_dir`.

    Raises NoMachineId.
    """
    try:
        return read(path)
    except NoMachineId as missing:
        if state_dir is None:
            raise NoMachineId(f"{missing}; or give a --state-dir, to keep an id there") from None
    own = state_dir / "machine-id"
    try:
        if not own.exists():
            state_dir.mkdir(parents=True, exist_ok=True)
            atomic_file.write(own, f"{secrets.token_hex(16)}\n".encode(), mode=0o644)
    except OSError as error:
        raise NoMachineId(f"{own}: {error.strerror}") from error
    return read(own)


def read_boot_id(path: Path = BOOT_ID) -> str:
    """Return the id of this boot; each start of the kernel has a new one. Raises NoMachineId."""
    return read(path)
