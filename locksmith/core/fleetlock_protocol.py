"""The FleetLock protocol: parsed requests, and the replies by name.

Clients differ: some read only the status and take any 2xx for a grant, others parse JSON in every
reply. So every reply has a JSON body, and every refusal is 4xx or 5xx.
"""

import re
from dataclasses import dataclass
from enum import Enum

import msgspec

from daemonkit.core.api_routes import ApiRoute
from locksmith.core.semaphore import Full

HEADER = b"fleet-lock-protocol"
GROUP = re.compile(r"[a-zA-Z0-9.-]+")
# The group of a zincati without configuration. Here that group has no name.
DEFAULT_GROUP = "default"
SLASHES = re.compile(rb"/{2,}")


ROUTES = (
    ApiRoute("POST", "/v1/pre-reboot", "acquire a slot; 200 only if it is granted"),
    ApiRoute("POST", "/v1/steady-state", "release the slot"),
)


class Operation(Enum):
    """The two requests of the protocol."""

    LOCK = b"/v1/pre-reboot"
    UNLOCK = b"/v1/steady-state"


@dataclass(frozen=True, slots=True)
class Request:
    """A valid request; `group` is our name of the group, "" for the default one."""

    operation: Operation
    id: str
    group: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, and the kind and value in the body of every reply."""

    status: int
    kind: str
    value: str

    def body(self) -> bytes:
        """Return the JSON body."""
        return msgspec.json.encode({"kind": self.kind, "value": self.value}) + b"\n"


class _Client(msgspec.Struct):
    id: str
    group: str


class _Body(msgspec.Struct):
    client_params: _Client


GRANTED = Reply(200, "success", "the slot is yours")
RELEASED = Reply(200, "success", "no slot is held")
UNAUTHORIZED = Reply(401, "unauthorized", "a bearer token is required")
NO_CERTIFICATE = Reply(401, "unauthorized", "a certificate of a host of the fleet is required")


def parse(method: bytes, target: bytes, fields: dict[bytes, bytes], body: bytes) -> Request | Reply:
    """Return the request, or the reply that refuses it."""
    path = SLASHES.sub(b"/", target.partition(b"?")[0])
    operation = next((one for one in Operation if path == one.value), None)
    if operation is None:
        return Reply(404, "not_found", "the paths are /v1/pre-reboot and /v1/steady-state")
    if method != b"POST":
        return Reply(405, "method_not_allowed", "POST")
    if fields.get(HEADER, b"").strip() != b"true":
        return _unidentified("the header fleet-lock-protocol: true is missing")
    try:
        client = msgspec.json.decode(body, type=_Body).client_params
    except (ValueError, RecursionError) as error:
        return _unidentified(f"the body holds no client_params: {error}")
    if not client.id or not client.id.isprintable() or len(client.id.encode()) > 255:
        return _unidentified("the id is empty, too long or not printable")
    if not GROUP.fullmatch(client.group) or set(client.group) == {"."} or len(client.group) > 255:
        return _unidentified(f"group {client.group!r}: use letters, digits, dots and hyphens only")
    return Request(operation, client.id, "" if client.group == DEFAULT_GROUP else client.group)


def full(refusal: Full) -> Reply:
    """Return the reply when all slots are taken: ask again later."""
    return Reply(423, "failed_lock_semaphore_full", str(refusal))


def kept(by: str) -> Reply:
    """Return the reply when another program acquired the slot: the client has nothing to do."""
    if by == "locksmithd":
        return Reply(200, "success", "locksmithd releases the slot once the host is healthy")
    return Reply(200, "success", f"{by or 'an operator'} acquired the slot, and releases it")


def store_member(why: str) -> Reply:
    """Return the reply while the store needs its member on the client's host: ask again later."""
    return Reply(423, "store_member", why)


def paused(why: str) -> Reply:
    """Return the reply while reboots are paused: ask again later."""
    return Reply(423, "paused", why)


def halted(why: str) -> Reply:
    """Return the reply when the group's failure budget is used up."""
    return Reply(423, "halted", why)


def unknown_group(group: str) -> Reply:
    """Return the reply for a group without a semaphore."""
    remedy = f"create it with locksmithctl -group {group} set-max 1"
    return Reply(400, "unknown_group", f"group {group} has no semaphore; {remedy}")


def store_failed(why: str) -> Reply:
    """Return the reply when the store or the semaphore in it cannot be used."""
    return Reply(503, "failed_store", why)


def forbidden(why: str) -> Reply:
    """Return the reply to a client that asks in the name of another host."""
    return Reply(403, "forbidden", why)


def _unidentified(why: str) -> Reply:
    return Reply(400, "invalid_client_identity", why)
