"""The v3 API's JSON: what its gateway answers, decoded once; and its errors as ours. Pure.

Numbers of 64 bits come as strings, bytes as base64, and what is zero or empty is left out.
"""

from typing import TypeVar

import msgspec

from coordinator.client.core import errors
from coordinator.client.core.v2_responses import Malformed

# gRPC's status codes, as far as they tell what to do next.
_INVALID, _DEADLINE, _NOT_FOUND, _EXISTS, _DENIED = 3, 4, 5, 6, 7
_EXHAUSTED, _PRECONDITION, _OUT_OF_RANGE, _INTERNAL, _AWAY, _NO_TOKEN = 8, 9, 11, 13, 14, 16
_ELSEWHERE = frozenset({_DEADLINE, _EXHAUSTED, _INTERNAL, _AWAY})
# What a server says before it hands the request on; it had no effect.
_UNSEEN = ("no leader", "too many requests", "not capable")
_LOGIN = ("authentication failed", "user name is empty", "password is")
# A token lives five minutes unless used, and no longer than its member and the users' revision.
_OLD_TOKEN = ("invalid auth token", "revision of auth store is old", "auth: revision in header")
NO_AUTH = "authentication is not enabled"


class LeaseGone(errors.Unavailable):
    """The lease ended before the key got it."""


class LeaseTaken(errors.Unavailable):
    """Another lease has this number."""


class Header(msgspec.Struct, frozen=True):
    """Who answers, and at which revision."""

    cluster_id: str = ""
    revision: int = 0


class Pair(msgspec.Struct, frozen=True, gc=False):
    """A key with its value."""

    key: bytes = b""
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0


class Ranged(msgspec.Struct, frozen=True):
    """Pairs of a range; `more` says that the limit cut it."""

    header: Header = Header()
    kvs: tuple[Pair, ...] = ()
    more: bool = False


class Written(msgspec.Struct, frozen=True):
    """What a put replaced."""

    prev_kv: Pair = Pair()


class Deleted(msgspec.Struct, frozen=True):
    """What a delete removed."""

    deleted: int = 0
    prev_kvs: tuple[Pair, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """The outcome of one step of a transaction."""

    response_range: Ranged = Ranged()
    response_put: Written = Written()
    response_delete_range: Deleted = Deleted()


class Outcome(msgspec.Struct, frozen=True):
    """What a transaction did: its steps if its conditions held, else those for the other case."""

    header: Header = Header()
    succeeded: bool = False
    responses: tuple[Step, ...] = ()


class Lease(msgspec.Struct, frozen=True):
    """A lease; `ttl_s` is 0 or -1 if there is none."""

    ttl_s: int = msgspec.field(default=0, name="TTL")


class KeptAlive(msgspec.Struct, frozen=True):
    """The one answer to one sign of life."""

    result: Lease = Lease()


class Token(msgspec.Struct, frozen=True):
    """What stands for a name and a password."""

    token: str = ""


class Change(msgspec.Struct, frozen=True):
    """One event of a watch."""

    type: str = "PUT"
    kv: Pair = Pair()


class Told(msgspec.Struct, frozen=True):
    """One message of a watch. `fragment` says that the next one goes on with the same."""

    header: Header = Header()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    fragment: bool = False
    events: tuple[Change, ...] = ()

    def is_old_token(self) -> bool:
        """Say whether the watch was refused for a token, as a member does that began anew."""
        return self.canceled and _is_old_token(self.cancel_reason)


class Failure(msgspec.Struct, frozen=True):
    """An error, as the gateways of etcd 3.4 to 3.6 word it."""

    message: str = ""
    code: int = 0
    grpc_code: int = 0

    def is_elsewhere_better(self) -> bool:
        """Say whether another endpoint may serve the request."""
        return self.status in _ELSEWHERE

    def is_unseen(self) -> bool:
        """Say whether the request surely had no effect."""
        return any(words in self.message for words in _UNSEEN)

    def is_old_token(self) -> bool:
        """Say whether a new token would help."""
        return _is_old_token(self.message)

    @property
    def status(self) -> int:
        """The gRPC status."""
        return self.grpc_code or self.code

    def error(self, what: str) -> errors.StoreError:
        """Return the exception for this answer to the request described by `what`."""
        return self._kind()(f"{what}: {self.message}")

    def _kind(self) -> type[errors.StoreError]:
        match self.status:
            case code if code in _ELSEWHERE:
                return errors.Unavailable
            case _ if "lease not found" in self.message:
                return LeaseGone
            case _ if "lease already exists" in self.message:
                return LeaseTaken
            case _ if "compacted" in self.message:
                return errors.HistoryCleared
            case code if code in (_DENIED, _NO_TOKEN) or self.is_old_token():
                return errors.Unauthorized
            case _ if any(words in self.message for words in _LOGIN):
                return errors.Unauthorized
            case _:
                return errors.BadRequest


class Line(msgspec.Struct, frozen=True):
    """One line of a stream."""

    result: Told = Told()
    error: Failure | None = None


T = TypeVar("T")


def _is_old_token(message: str) -> bool:
    return any(words in message for words in _OLD_TOKEN)


def encode(body: object) -> bytes:
    """Encode a request; bytes become base64."""
    return msgspec.json.encode(body)


def decode(body: bytes, form: type[T]) -> T:
    """Decode an answer; Malformed shows what came instead."""
    try:
        return msgspec.json.decode(body, type=form, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{error} in {body[:80]!r}") from error


def failure(body: bytes) -> Failure:
    """Decode an error; Malformed if it is not the API's."""
    found = decode(body, Failure)
    if not found.message:
        raise Malformed(f"no error message in {body[:80]!r}")
    return found
