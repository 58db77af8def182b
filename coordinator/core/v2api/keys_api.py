"""`/v2/keys`: from a request to a read, a watch or a command, and from its outcome to JSON."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Protocol

import msgspec

from coordinator.core.store import key_limits
from coordinator.core.store.api_errors import Forbidden
from coordinator.core.store.commands import NO_TTL, CreateInOrder, Delete, Put
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.listing import DirectoryListing, ListingBounds, ListingScope
from coordinator.core.store.node import ROOT_KEY, Node
from coordinator.core.store.reserved_keys import SECURITY, is_reserved
from coordinator.core.store.watcher_hub import WatchFilter
from coordinator.core.v2api import form, request_options, request_target
from coordinator.core.v2api.request_options import RequestOptions
from coordinator.core.v2api.request_target import BadTarget, Redirect, RequestTarget

PREFIX = b"/v2/keys"
CONTENT_TYPE = b"application/json"
VALUE = b"value="
# Bytes that mean something in a form, so that a value with them must be decoded.
FORM_SPECIAL = b"&;%+"
# Targets repeat, so they are cached. Long ones are not, which limits the memory of the caches.
CACHED_TARGETS_MAX = 4096
CACHED_TARGET_BYTES_MAX = 512
READ_HEAD, READ_TAIL = b'{"action":"get","node":', b"}\n"
# What is rendered at once takes a few milliseconds. A longer listing is rendered in pieces.
SHORT = ListingBounds(nodes=2000, value_bytes=1024 * 1024)


class GetRequest(msgspec.Struct, frozen=True):
    """A GET of a key, or with `head` only its headers."""

    key: bytes
    recursive: bool = False
    hidden: bool = False
    quorum: bool = False
    head: bool = False


class ReservedRead(msgspec.Struct, frozen=True):
    """A GET of a key that this API does not show: it is answered as if there were none."""


class WatchRequest(msgspec.Struct, frozen=True):
    """A GET with `wait=true`. `progress_s` above 0 asks an idle stream for progress lines."""

    watch_filter: WatchFilter
    stream: bool
    wait_index: int
    progress_s: float = 0.0

    def after(self, index: int) -> int:
        """Return the first index of the watch when the store is at `index`."""
        return self.wait_index - 1 if self.wait_index else index


class WriteRequest(msgspec.Struct, frozen=True):
    """A command for the log, and the time to live that the leader turns into an expiry.

    `no_value` shrinks the answer to the action.
    """

    command: Put | CreateInOrder | Delete
    ttl_ns: int = NO_TTL
    no_value: bool = False

    @property
    def value_bytes(self) -> int:
        """The length of the value, and of the one that it is compared to."""
        command = self.command
        previous = None if isinstance(command, CreateInOrder) else command.prev_value
        value = None if isinstance(command, Delete) else command.value
        return len(value or b"") + len(previous or b"")


class NotAllowed(msgspec.Struct, frozen=True):
    """405."""

    allow: bytes = b"HEAD,GET,PUT,POST,DELETE"
    body: bytes = b"Method Not Allowed\n"
    content_type: bytes = b"text/plain; charset=utf-8"


class NotFound(msgspec.Struct, frozen=True):
    """404 for a path that is no key."""

    body: bytes = b"404 page not found\n"
    content_type: bytes = b"text/plain; charset=utf-8"


KeysRefusal = Redirect | BadTarget | NotAllowed | NotFound
KeysRequest = GetRequest | ReservedRead | WatchRequest | WriteRequest | KeysRefusal


class Viewer(Protocol):
    """Who a listing is for."""

    def shows(self, directory: bytes) -> Callable[[Node], bool] | None:
        """Return which nodes below a directory are shown; None shows all."""
        ...


def parse(
    method: bytes, target: bytes, body: bytes, content_type: bytes, now_ns: int
) -> KeysRequest:
    """Parse a request; the ApiError of a bad parameter has index 0."""
    if method in {b"GET", b"HEAD"}:
        if len(target) > CACHED_TARGET_BYTES_MAX:
            return _query.__wrapped__(method, target)
        return _query(method, target)
    place = _place(method, target)
    if not isinstance(place, KeyTarget):
        return place
    if method not in {b"PUT", b"POST", b"DELETE"}:
        return NotAllowed()
    if is_reserved(place.key):
        raise Forbidden(f"{SECURITY.decode()} is changed only through /v2/auth")
    if method != b"DELETE":
        key_limits.check(place.key, in_order=method == b"POST")
    if method == b"PUT" and not place.query and _is_only_a_value(body, content_type):
        return WriteRequest(Put(place.key, body[len(VALUE) :]))
    given: dict[bytes, bytes] = {}
    if method != b"DELETE" and form.is_form(content_type):
        form.fields(body, given)
    form.fields(place.query, given)
    chosen = request_options.read(given, method, now_ns)
    command = _command(method, place.key, chosen)
    ttl_ns = NO_TTL if method == b"DELETE" else chosen.ttl_ns
    return WriteRequest(command, ttl_ns, chosen.no_value_on_success)


def status_of(event: KeyEvent) -> int:
    """Return the HTTP status that answers an accepted write."""
    return 201 if event.is_creation else 200


def written(event: KeyEvent, at: Moment, *, no_value: bool = False, blind: bool = False) -> bytes:
    """Return the body that answers an accepted write. A `blind` one does not say what was there."""
    if no_value and event.node is not None:
        return b'{"action":"%b"}\n' % event.action.encode()
    return event.without_prev(at) if blind else event.line(at)


def read(
    space: KeySpace, query: GetRequest, at: Moment, viewer: Viewer | None = None
) -> bytes | None:
    """Return the body that answers a read, None if it is a long one: see `listed`.

    A listing has only what its viewer may see. Raises ApiError 100, 104.
    """
    node = space.read(query.key)
    if node.value is not None:
        return READ_HEAD + node.json(at) + READ_TAIL
    shows = None if viewer is None else viewer.shows(query.key)
    listing = DirectoryListing(node, ListingScope(query.recursive, query.hidden, at, shows))
    if not listing.take(space.tree, SHORT):
        return None
    return READ_HEAD + b"".join(listing.pieces()) + READ_TAIL


def listed(
    space: KeySpace, query: GetRequest, at: Moment, viewer: Viewer | None = None
) -> Iterator[bytes]:
    """Return the body that answers a read, in pieces. Raises ApiError 100, 104."""
    node = space.find(query.key)
    if node.value is not None:
        return iter((READ_HEAD, node.json(at), READ_TAIL))
    shows = None if viewer is None else viewer.shows(query.key)
    listing = DirectoryListing(node, ListingScope(query.recursive, query.hidden, at, shows))
    listing.take(space.tree)
    return chain((READ_HEAD,), listing.pieces(), (READ_TAIL,))


class KeyTarget(msgspec.Struct, frozen=True):
    """The key that a clean target names, and its query."""

    key: bytes
    query: bytes


@lru_cache(CACHED_TARGETS_MAX)
def _locate(target: bytes) -> KeyTarget | RequestTarget | BadTarget | NotFound:
    split = request_target.split(target)
    if isinstance(split, BadTarget) or request_target.clean(split.path) != split.path:
        return split
    path = split.path
    if path != PREFIX and not path.startswith(PREFIX + b"/"):
        return NotFound()
    return KeyTarget(path[len(PREFIX) :].rstrip(b"/") or ROOT_KEY, split.query)


def _place(method: bytes, target: bytes) -> KeyTarget | KeysRefusal:
    locate = _locate if len(target) <= CACHED_TARGET_BYTES_MAX else _locate.__wrapped__
    place = locate(target)
    return request_target.redirect(method, place) if isinstance(place, RequestTarget) else place


@lru_cache(CACHED_TARGETS_MAX)
def _query(method: bytes, target: bytes) -> GetRequest | ReservedRead | WatchRequest | KeysRefusal:
    place = _place(method, target)
    if not isinstance(place, KeyTarget):
        return place
    given: dict[bytes, bytes] = {}
    form.fields(place.query, given)
    chosen = request_options.read(given, method, now_ns=0)
    if chosen.wait and not chosen.quorum:
        watch_filter = WatchFilter(place.key, chosen.recursive, chosen.hidden)
        progress_s = chosen.progress_s if chosen.stream else 0.0
        return WatchRequest(watch_filter, chosen.stream, chosen.wait_index, progress_s)
    if is_reserved(place.key):
        return ReservedRead()
    head = method == b"HEAD"
    return GetRequest(place.key, chosen.recursive, chosen.hidden, chosen.quorum and not head, head)


def _is_only_a_value(body: bytes, content_type: bytes) -> bool:
    return (
        content_type == form.FORM_TYPE
        and body.startswith(VALUE)
        and len(body.translate(None, FORM_SPECIAL)) == len(body)
    )


def _command(method: bytes, key: bytes, chosen: RequestOptions) -> Put | CreateInOrder | Delete:
    if method == b"DELETE":
        return Delete(key, chosen.directory, chosen.recursive, chosen.prev_value, chosen.prev_index)
    if method == b"POST":
        return CreateInOrder(key, chosen.value, chosen.directory)
    return Put(
        key,
        chosen.value,
        chosen.directory,
        prev_exist=chosen.prev_exist,
        prev_value=chosen.prev_value,
        prev_index=chosen.prev_index,
        refresh=chosen.refresh,
    )
