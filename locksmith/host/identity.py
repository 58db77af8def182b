"""The identity of this host: its machine-id, its present boot, and its names."""

import hashlib
import hmac
import socket
from dataclasses import dataclass
from pathlib import Path

from daemonkit.host import machine_id

# The application id from which systemd derives zincati's own id (sd-id128).
ZINCATI_APP = bytes.fromhex("de35106b6ec24688b63afddaa156679b")


@dataclass(frozen=True, slots=True)
class Host:
    """One boot of one machine. `boot_id` changes with every start of the kernel."""

    machine_id: str
    boot_id: str
    hostname: str

    @property
    def fleetlock_id(self) -> str:
        """The id that zincati on this host shows to a FleetLock server; "" if unknown."""
        try:
            return app_specific_id(self.machine_id)
        except ValueError:
            return ""


def app_specific_id(host_id: str, app: bytes = ZINCATI_APP) -> str:
    """Return systemd's app-specific id, as sd_id128_get_machine_app_specific(3) makes it."""
    digest = bytearray(hmac.digest(bytes.fromhex(host_id), app, hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def read(state_dir: Path | None = None) -> Host:
    """Return the identity of this host. Raises NoMachineId."""
    own_id = machine_id.read_or_make(state_dir)
    return Host(own_id, machine_id.read_boot_id(), socket.gethostname())
