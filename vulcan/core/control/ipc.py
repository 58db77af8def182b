"""The messages from the supervisor to its workers."""

import msgspec

from coordinator.client.core.view import Changes


class KeyChanges(msgspec.Struct, frozen=True, tag=True):
    """Keys that are in force from now on."""

    changes: Changes


class FailingServers(msgspec.Struct, frozen=True, tag=True):
    """The servers, by backend and address, whose health checks fail: all of them."""

    servers: tuple[tuple[str, str], ...]


class SaltCookies(msgspec.Struct, frozen=True, tag=True):
    """Salt the names of servers in sticky cookies with this."""

    salt: bytes


class ReopenAccessLog(msgspec.Struct, frozen=True, tag=True):
    """Write the access log to a new file."""


class SetLogLevel(msgspec.Struct, frozen=True, tag=True):
    """Log from this level on."""

    level: str


class SendWindows(msgspec.Struct, frozen=True, tag=True):
    """Send the sliding windows for a while, because an operator looks at the traffic."""


class InitialState(msgspec.Struct, frozen=True, tag=True):
    """Everything that a starting worker needs."""

    changes: Changes
    failing: tuple[tuple[str, str], ...]
    log_level: str
    cookie_salt: bytes = b""


WorkerMessage = (
    KeyChanges
    | FailingServers
    | SaltCookies
    | ReopenAccessLog
    | SendWindows
    | SetLogLevel
    | InitialState
)

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(WorkerMessage).decode


class WorkerSettings(msgspec.Struct, frozen=True):
    """The settings that a worker is started with."""

    prefix: str
    bytewise: bool
    aliases: tuple[tuple[str, str], ...]
    drain_s: float
    log_level: str
    log_format: str
    access_log: str
    combined: bool  # the access log's format; else JSON
    seal_keys: tuple[bytes, ...]
    client_connections: int = 0  # of one address at a time; 0: no limit
