"""What the supervisor tells its workers."""

import msgspec

from coordinator.client.core.view import Changes


class Update(msgspec.Struct, frozen=True, tag=True):
    """Keys that are in force from now on."""

    changes: Changes


class Verdicts(msgspec.Struct, frozen=True, tag=True):
    """The servers, by backend and address, that fail their checks: all of them."""

    down: tuple[tuple[str, str], ...]


class Reopen(msgspec.Struct, frozen=True, tag=True):
    """Begin a new file of the access log."""


class Severity(msgspec.Struct, frozen=True, tag=True):
    """The least level that is logged from now on."""

    level: str


class Watch(msgspec.Struct, frozen=True, tag=True):
    """Somebody looks at what happens: tell the windows for a while."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """All that a worker that starts has to know."""

    changes: Changes
    down: tuple[tuple[str, str], ...]
    level: str


Message = Update | Verdicts | Reopen | Watch | Severity | Begin

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode


class Boot(msgspec.Struct, frozen=True):
    """What a worker is started with."""

    prefix: str
    bytewise: bool
    aliases: tuple[tuple[str, str], ...]
    drain_s: float
    log_level: str
    log_format: str
    access_log: str
    combined: bool  # the log's format; else JSON
    seal_keys: tuple[bytes, ...]
    client_connections: int = 0  # of one address at a time; 0: no bound
