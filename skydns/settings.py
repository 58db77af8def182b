"""The daemon's options as one value."""

from dataclasses import dataclass
from pathlib import Path

from daemonkit.options import IdentityFiles
from skydns.core.config import Config


@dataclass(frozen=True, slots=True)
class Settings:
    """How the daemon runs. `addresses` are ignored when systemd passes sockets.

    `tls` are the files of the store's CA, our certificate and its key. `lame_duck_s` is how long
    the daemon still answers after `/ready` says no.
    """

    addresses: tuple[tuple[str, int], ...]
    config: Config
    endpoints: str
    tls: tuple[Path | None, Path | None, Path | None]
    state_dir: Path | None
    status_addr: str
    status_tls: IdentityFiles | None
    workers: int
    lame_duck_s: float
    log_level: str
    log_format: str

    @property
    def tls_files(self) -> tuple[str, str, str]:
        """The TLS files as texts, empty for none."""
        ca, cert, key = (str(path or "") for path in self.tls)
        return ca, cert, key
