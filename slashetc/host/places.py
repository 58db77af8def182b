"""Where the files of a fleet are on this host, and how they are written."""

import contextlib
import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from daemonkit.host import atomic_file
from slashetc.core import fleet_file, host_files
from slashetc.core.fleet_file import BadFile, FleetFile
from slashetc.core.requests import Name

CONFIG_DIR = Path("/etc/slashetc")
CONFD_DIRS = (Path("/etc/confd/conf.d"), Path("/etc/confd/templates"))


class NotInFleet(Exception):  # noqa: N818 - a fact about this host
    """This host is in no fleet, or its files are damaged; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files below a directory such as /etc/slashetc."""

    directory: Path = CONFIG_DIR

    @property
    def fleet_file(self) -> Path:
        """Which fleet this host is in. It is written when the host is let in."""
        return self.directory / "fleet.toml"

    @property
    def pki(self) -> Path:
        """The certificates and keys of this host."""
        return self.directory / "pki"

    @property
    def ca(self) -> Path:
        """The authorities that this host trusts."""
        return self.pki / "ca.pem"

    @property
    def revoked(self) -> Path:
        """Whose certificates this host refuses."""
        return self.pki / "revoked.json"

    @property
    def trusted_keys(self) -> Path:
        """The public keys whose orders fleetd runs."""
        return self.directory / "trusted-keys"

    @property
    def authority(self) -> Path:
        """The authority's directory, if it is on this host."""
        return self.directory / "authority"

    @property
    def environment(self) -> Path:
        """The options of the daemons."""
        return self.directory / "environment"

    def certificate(self, name: Name) -> Path:
        """A certificate of this host."""
        return self.pki / f"{name}.pem"

    def key(self, name: Name) -> Path:
        """The key of a certificate of this host."""
        return self.pki / f"{name}.key"

    def read(self) -> FleetFile:
        """Return what this host is. Raises NotInFleet."""
        try:
            return fleet_file.read(self.fleet_file.read_text())
        except FileNotFoundError:
            raise NotInFleet(
                "this host is in no fleet: run `slashetc init` on the first host, or `slashetc "
                "join` with a token"
            ) from None
        except (OSError, BadFile) as error:
            raise NotInFleet(
                f"{self.fleet_file}: {error}: mend the file, or remove it and join again"
            ) from None

    def make(self) -> None:
        """Make the directories."""
        for each in (self.directory, self.pki, self.trusted_keys):
            each.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.environment.mkdir(mode=0o700, exist_ok=True)
        # confd does not start without its directories; templates come later.
        for each in CONFD_DIRS:
            each.mkdir(mode=0o755, parents=True, exist_ok=True)

    def write_key(self, name: Name, pem: str) -> None:
        """Write a private key for the user of its daemon."""
        write(self.key(name), pem, mode=0o600, owner=host_files.OWNERS[name])

    def write_host_files(self, file: FleetFile) -> bool:
        """Write the files that follow from what this host is; return whether one changed."""
        self.make()
        found = host_files.files(file, PurePosixPath(self.directory))
        # The description of the host is the last file, so that the next attempt does the rest.
        ordered = sorted(found, key=lambda each: each.path == str(self.fleet_file))
        changed = [write(Path(each.path), each.content, mode=each.mode) for each in ordered]
        return any(changed)


def write(path: Path, content: str, *, mode: int = 0o644, owner: str = "root") -> bool:
    """Write a file if its content, mode or owner differ; return whether they did."""
    data, wanted = content.encode(), _ids(owner)
    with contextlib.suppress(OSError):
        found = path.stat()
        same = (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (mode, *wanted)
        if same and path.read_bytes() == data:
            return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.staged")
    staged.unlink(missing_ok=True)
    atomic_file.stage(staged, data, mode=mode, owner=wanted)
    atomic_file.commit(staged, path)
    return True


def _ids(owner: str) -> tuple[int, int]:
    """Return the ids of a daemon's user; ours where it does not exist or we are not root."""
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(owner).pw_uid, grp.getgrnam(owner).gr_gid
    return os.geteuid(), os.getegid()
