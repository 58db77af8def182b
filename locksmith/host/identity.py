"""Who this host is and which of its lives this is."""

import hashlib
import hmac
import socket
from dataclasses import dataclass
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# machine-id(5): what stands in the file before the first boot has chosen an id.
UNSET = "uninitialized"
# The application under which zincati asks systemd for an id of its own (sd-id128).
ZINCATI_APP = bytes.fromhex("de35106b6ec24688b63afddaa156679b")


class NoIdentity(OSError):  # noqa: N818 - the message is read by an operator
    """An id cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Host:
    """One boot of one machine. `boot_id` changes with every start of the kernel."""

    machine_id: str
    boot_id: str
    hostname: str

    @property
    def fleetlock_id(self) -> str:
        """The id under which zincati on this host asks a FleetLock server; "" when unknown."""
        try:
            return app_specific(self.machine_id)
        except ValueError:
            return ""


def app_specific(machine_id: str, app: bytes = ZINCATI_APP) -> str:
    """Return systemd's app-specific id, as sd_id128_get_machine_app_specific(3) makes it."""
    digest = bytearray(hmac.digest(bytes.fromhex(machine_id), app, hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


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
