"""The commands of the replicated log, and their encoding.

A command is complete: to apply it takes no clock and no state but the key space. Times are Unix
nanoseconds, and 0 means never. Keys are absolute, clean paths.
"""

import msgspec

# Beside a command that has no time to live. A command in the log has an absolute expiry instead.
NO_TTL = -1
# The last time that 64 bits of nanoseconds can hold, in the year 2262.
EXPIRES_NS_MAX = (1 << 63) - 1


class Put(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="put"):
    """Write one key; the three `prev_` conditions decide between set, create, update and swap.

    `value` None is the empty value. `refresh` keeps the stored value, renews the expiry and
    wakes no watcher.
    """

    key: bytes
    value: bytes | None = None
    directory: bool = False
    expires_ns: int = 0
    prev_exist: bool | None = None
    prev_value: bytes | None = None
    prev_index: int = 0
    refresh: bool = False


class CreateInOrder(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="append"):
    """Create a key below the directory `key`, named by the index of its creation."""

    key: bytes
    value: bytes | None = None
    directory: bool = False
    expires_ns: int = 0


class Delete(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="delete"):
    """Remove a file, an empty directory (`directory`), or all below a key (`recursive`)."""

    key: bytes
    directory: bool = False
    recursive: bool = False
    prev_value: bytes | None = None
    prev_index: int = 0


class Sync(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="sync"):
    """The leader's time: all keys that expire up to `now_ns` are removed."""

    now_ns: int


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="note"):
    """A fact about the cluster, stored outside of the keys. The latest note of a kind counts."""

    kind: str
    data: bytes


Command = Put | CreateInOrder | Delete | Sync | Note

_OVERHEAD_BYTES = 64


def size_bytes(command: Command) -> int:
    """Return about how many bytes a command takes in a message."""
    match command:
        case Put(key=key, value=value, prev_value=previous):
            content = len(key) + len(value or b"") + len(previous or b"")
        case CreateInOrder(key=key, value=value):
            content = len(key) + len(value or b"")
        case Delete(key=key, prev_value=previous):
            content = len(key) + len(previous or b"")
        case Note(data=data):
            content = len(data)
        case Sync():
            content = 0
    return content + _OVERHEAD_BYTES
