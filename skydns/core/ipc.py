"""The messages of the daemon to its workers, as bytes."""

import msgspec

from coordinator.client.core.view import Changes
from skydns.core.config import Config

# The samples of the workers that the daemon reads itself.
LOADED = "skydns_workers_loaded"
TOP = "skydns_top"


class WorkerSettings(msgspec.Struct, frozen=True):
    """What a worker is started with. `tls` are the paths of the CA, certificate and key files."""

    config: Config
    endpoints: str
    tls: tuple[str, str, str]
    log_level: str
    log_format: str


class WorkerUpdate(msgspec.Struct, frozen=True):
    """Changes of the keys, and whether the store is down, so that they may be out of date.

    `config` comes with the whole state, and when it changes.
    """

    store_down: bool
    changes: Changes | None = None
    config: Config | None = None


_update = msgspec.msgpack.Decoder(WorkerUpdate)
_settings = msgspec.msgpack.Decoder(WorkerSettings)


def encode(message: WorkerUpdate | WorkerSettings) -> bytes:
    """Write a message for the channel."""
    return msgspec.msgpack.encode(message)


def decode_update(payload: bytes) -> WorkerUpdate:
    """Read an update from the channel."""
    return _update.decode(payload)


def decode_settings(payload: bytes) -> WorkerSettings:
    """Read the settings that a worker is started with."""
    return _settings.decode(payload)
