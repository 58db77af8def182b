"""The settings of the daemon, as one value."""

from dataclasses import dataclass
from pathlib import Path

from coordinator.client import DetectedStore, Tls, connect
from daemonkit.options import IdentityFiles
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control.ipc import WorkerSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """How the daemon runs. `address` is not bound when systemd passes sockets."""

    address: tuple[str, int] | None
    api_address: tuple[str, int]
    api_token: str
    api_names: tuple[str, ...]
    prefix: str
    bytewise: bool
    aliases: tuple[tuple[str, str], ...]
    seal_keys: SealKeys
    access_log: str
    combined: bool
    endpoints: str
    tls: Tls
    state_dir: Path | None
    status_addr: str
    api_tls: IdentityFiles | None
    status_tls: IdentityFiles | None
    workers: int
    client_connections: int
    drain_s: float
    log_level: str
    log_format: str
    node: str
    version: str

    def empty_table(self) -> Table:
        """Return the table before there are keys."""
        return Table(
            self.prefix, bytewise=self.bytewise, seal_keys=self.seal_keys, aliases=self.aliases
        )

    def store_of(self, token: str) -> DetectedStore:
        """Return the store as the user of a token of the store. Close it after use."""
        return connect(self.endpoints, tls=self.tls, bearer=token)

    def for_workers(self) -> WorkerSettings:
        """Return what a worker needs of the settings."""
        return WorkerSettings(
            prefix=self.prefix,
            bytewise=self.bytewise,
            aliases=self.aliases,
            drain_s=self.drain_s,
            log_level=self.log_level,
            log_format=self.log_format,
            access_log=self.access_log,
            combined=self.combined,
            seal_keys=self.seal_keys.keys,
            client_connections=self.client_connections,
        )
