"""Checks of what other members forward to the leader, before it goes to the log.

A member's own requests come from its API, which lets nothing else through. What another process
sends may be anything, and an entry that cannot be applied would end every member, again at each
start.
"""

from collections.abc import Mapping
from typing import assert_never

import msgspec

from coordinator.core.cluster import members
from coordinator.core.peer.peer_messages import ForwardedCommand, ForwardedCommands
from coordinator.core.raft.membership import AddLearner, ConfChange, Configuration
from coordinator.core.replica import version_gate
from coordinator.core.store import key_limits
from coordinator.core.store.commands import (
    NO_TTL,
    Command,
    CreateInOrder,
    Delete,
    Note,
    Put,
    Sync,
)
from coordinator.core.store.node import ROOT_KEY

# Above the largest form of a request, and below what an entry of the log can hold.
COMMAND_BYTES_MAX = 12 << 20


class RequestContext(msgspec.Struct, frozen=True, array_like=True):
    """The context of a change of membership in the log: its request, and a new member's URLs."""

    origin: int
    sequence: int
    content: bytes


def split(
    message: ForwardedCommands, notes: Mapping[str, bytes], configuration: Configuration
) -> tuple[ForwardedCommands, list[tuple[ForwardedCommand, str]]]:
    """Return the message with its valid commands, and the other ones, each with the reason."""
    judged = [
        (
            each,
            command_problem(each.command, each.ttl_ns)
            or version_gate.problem(type(each.command), notes, configuration),
        )
        for each in message.requests
    ]
    refused = [(each, why) for each, why in judged if why]
    if refused:
        valid = [each for each, why in judged if not why]
        message = msgspec.structs.replace(message, requests=valid)
    return message, refused


def command_problem(command: Command, ttl_ns: int) -> str:
    """Say why a forwarded command must not go to the log; an empty string if it may."""
    match command:
        case Put(key=key, value=value, prev_value=previous):
            return (
                _key_problem(key) or key_limits.problem(key) or _size_problem(key, value, previous)
            )
        case CreateInOrder(key=key, value=value):
            return (
                _key_problem(key)
                or key_limits.problem(key, in_order=True)
                or _size_problem(key, value)
            )
        case _ if ttl_ns != NO_TTL:
            return "only a key that is written has a time to live"
        case Delete(key=key, prev_value=previous):
            return _key_problem(key) or _size_problem(key, previous)
        case Sync():
            return "only the leader says what time it is"
        case Note():
            return members.note_problem(command) or _size_problem(command.data)
    assert_never(command)


def change_problem(change: ConfChange) -> str:
    """Say why a forwarded change must not go to the log; an empty string if it may."""
    context = read_context(change.context)
    if context is None:
        return "the change does not say which request it is of"
    if isinstance(change, AddLearner):
        return members.peer_urls_problem(context.content)
    return ""


def read_context(data: bytes) -> RequestContext | None:
    """Return the context of a change; None if it is none."""
    try:
        return msgspec.msgpack.decode(data, type=RequestContext)
    except msgspec.MsgspecError:
        return None


def _key_problem(key: bytes) -> str:
    if key == ROOT_KEY or (key.startswith(b"/") and not key.endswith(b"/") and b"//" not in key):
        return ""
    return f"{key[:100]!r} is no key"


def _size_problem(*parts: bytes | None) -> str:
    size_bytes = sum(len(part) for part in parts if part)
    return f"a command of {size_bytes} bytes" if size_bytes > COMMAND_BYTES_MAX else ""
