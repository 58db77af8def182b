"""Responses of the v3 API's JSON gateway, and which of the store's errors its errors are.

Numbers of 64 bits come as strings and bytes as base64. A field that is zero or empty is left out.
"""

from typing import TypeVar

import msgspec

from coordinator.client.core import errors
from coordinator.client.core.json_lines import MalformedResponse

# The gRPC status codes that decide what to do next.
_DEADLINE_EXCEEDED, _RESOURCE_EXHAUSTED, _INTERNAL, _UNAVAILABLE = 4, 8, 13, 14
_PERMISSION_DENIED, _UNAUTHENTICATED = 7, 16
_ENDPOINT_FAILURES = frozenset({_DEADLINE_EXCEEDED, _RESOURCE_EXHAUSTED, _INTERNAL, _UNAVAILABLE})
# A server answers this before it passes on the request, so the request had no effect.
_UNSEEN = ("no leader", "too many requests", "not capable")
_LOGIN = ("authentication failed", "user name is empty", "password is")
# A token expires after five minutes without use, when its member restarts and when users change.
_STALE_TOKEN = ("invalid auth token", "revision of auth store is old", "auth: revision in header")
NO_AUTH = "authentication is not enabled"


class LeaseExpired(errors.Unavailable):
    """The lease expired before the key got it."""


class LeaseTaken(errors.Unavailable):
    """Another lease has this id."""


class ResponseHeader(msgspec.Struct, frozen=True):
    """The cluster that answers, and its revision."""

    cluster_id: str = ""
    revision: int = 0


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key with its value."""

    key: bytes = b""
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0


class RangeResponse(msgspec.Struct, frozen=True):
    """The pairs of a range. `more` says that the limit left some out."""

    header: ResponseHeader = ResponseHeader()
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False


class PutResponse(msgspec.Struct, frozen=True):
    """The pair that a put replaced."""

    prev_kv: KeyValue = KeyValue()


class DeleteRangeResponse(msgspec.Struct, frozen=True):
    """The pairs that a delete removed."""

    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class ResponseOp(msgspec.Struct, frozen=True):
    """The response to one operation of a transaction."""

    response_range: RangeResponse = RangeResponse()
    response_put: PutResponse = PutResponse()
    response_delete_range: DeleteRangeResponse = DeleteRangeResponse()


class TxnResponse(msgspec.Struct, frozen=True):
    """The responses to a transaction's operations: those for success, or those for failure."""

    header: ResponseHeader = ResponseHeader()
    succeeded: bool = False
    responses: tuple[ResponseOp, ...] = ()


class LeaseResponse(msgspec.Struct, frozen=True):
    """A lease. `ttl_s` is 0 or -1 if there is none."""

    ttl_s: int = msgspec.field(default=0, name="TTL")


class KeepAliveResponse(msgspec.Struct, frozen=True):
    """The response to a keep-alive."""

    result: LeaseResponse = LeaseResponse()


class AuthenticateResponse(msgspec.Struct, frozen=True):
    """A token for a name and a password."""

    token: str = ""


class WatchEvent(msgspec.Struct, frozen=True):
    """One event of a watch."""

    type: str = "PUT"
    kv: KeyValue = KeyValue()


class WatchResponse(msgspec.Struct, frozen=True):
    """One message of a watch. `fragment` says that the next one continues it."""

    header: ResponseHeader = ResponseHeader()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    fragment: bool = False
    events: tuple[WatchEvent, ...] = ()

    def is_token_stale(self) -> bool:
        """Return whether the watch was refused for its token, as a restarted member does."""
        return self.canceled and _is_token_stale(self.cancel_reason)


class GatewayError(msgspec.Struct, frozen=True):
    """An error in the form of the gateways of etcd 3.4 to 3.6."""

    message: str = ""
    code: int = 0
    grpc_code: int = 0

    def is_endpoint_failure(self) -> bool:
        """Return whether another endpoint may serve the request."""
        return self.status in _ENDPOINT_FAILURES

    def is_unseen(self) -> bool:
        """Return whether the request certainly had no effect."""
        return any(words in self.message for words in _UNSEEN)

    def is_token_stale(self) -> bool:
        """Return whether a new token would help."""
        return _is_token_stale(self.message)

    @property
    def status(self) -> int:
        """The gRPC status."""
        return self.grpc_code or self.code

    def store_error(self, what: str) -> errors.StoreError:
        """Return the exception for this response to the request that `what` describes."""
        return self._kind()(f"{what}: {self.message}")

    def _kind(self) -> type[errors.StoreError]:
        match self.status:
            case code if code in _ENDPOINT_FAILURES:
                return errors.Unavailable
            case _ if "lease not found" in self.message:
                return LeaseExpired
            case _ if "lease already exists" in self.message:
                return LeaseTaken
            case _ if "compacted" in self.message:
                return errors.HistoryCleared
            case code if code in (_PERMISSION_DENIED, _UNAUTHENTICATED) or self.is_token_stale():
                return errors.Unauthorized
            case _ if any(words in self.message for words in _LOGIN):
                return errors.Unauthorized
            case _:
                return errors.BadRequest


class WatchLine(msgspec.Struct, frozen=True):
    """One line of a watch's stream."""

    result: WatchResponse = WatchResponse()
    error: GatewayError | None = None


T = TypeVar("T")


def _is_token_stale(message: str) -> bool:
    return any(words in message for words in _STALE_TOKEN)


def encode(body: object) -> bytes:
    """Encode a request; bytes become base64."""
    return msgspec.json.encode(body)


def decode(body: bytes, form: type[T]) -> T:
    """Decode a response; MalformedResponse shows what came instead."""
    try:
        return msgspec.json.decode(body, type=form, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(f"{error} in {body[:80]!r}") from error


def gateway_error(body: bytes) -> GatewayError:
    """Decode an error; MalformedResponse if it is not the API's."""
    found = decode(body, GatewayError)
    if not found.message:
        raise MalformedResponse(f"no error message in {body[:80]!r}")
    return found
