"""`/v2/keys`: reads are answered at once, writes and quorum reads when they are decided."""

from collections.abc import Callable, Iterator

from coordinator.core.auth import key_access
from coordinator.core.auth.decisions import BY_DISCOVERY_TOKEN, Rights
from coordinator.core.replica.pending import Outcome
from coordinator.core.store.api_errors import (
    COMPARE_FAILED,
    INVALID_FORM,
    KEY_NOT_FOUND,
    ApiError,
    ClusterUnavailable,
    RequestTooLarge,
)
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.reserved_keys import SECURITY
from coordinator.core.v2api import keys_api
from coordinator.core.v2api.keys_api import (
    GetRequest,
    KeysRequest,
    ReservedRead,
    WatchRequest,
    WriteRequest,
)
from coordinator.server.access.access_control import AccessControl
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.listing_stream import ListingQueue
from coordinator.server.responses import Responses
from coordinator.server.watch_stream import WatchStream
from daemonkit.http.server import Exchange
from daemonkit.http.turn_queue import TurnQueue

# Go's form parser stops here; it bounds a value, and with it an entry of the log.
FORM_BYTES_MAX = 10 * 1024 * 1024
# How long a value becomes by its escapes at most, and what the other fields of its form may take.
ESCAPED_MAX = 3
OTHER_FIELDS_BYTES = 64 * 1024
# Watches that are judged in one turn of the event loop when users or roles change: a few
# milliseconds.
JUDGED_AT_ONCE_MAX = 64


class KeysService:
    """Answers requests for keys."""

    def __init__(
        self,
        loop: DriveLoop,
        responses: Responses,
        access: AccessControl,
        value_bytes_max: int,
    ) -> None:
        self._loop = loop
        self._access = access
        self._value_bytes_max = value_bytes_max
        self.replica = loop.replica
        self.responses = responses
        self.watches: set[WatchStream] = set()
        self._unjudged: list[WatchStream] = []
        self._watch_turns = TurnQueue()
        self._listings = ListingQueue(responses, self._list)

    def serve(self, exchange: Exchange, target: bytes, rights: Rights | None) -> None:
        """Answer a request for `target`, now or later. `rights` None permits everything."""
        head = exchange.head
        content_type = head.fields.get(b"content-type", b"")
        try:
            if len(exchange.body) > FORM_BYTES_MAX:
                raise ApiError(INVALID_FORM, "http: POST too large")
            if len(exchange.body) > ESCAPED_MAX * self._value_bytes_max + OTHER_FIELDS_BYTES:
                limit = f"--max-request-bytes is {self._value_bytes_max}"
                raise RequestTooLarge(f"the form has {len(exchange.body)} bytes, and {limit}")
            now_ns = self.replica.clock.now_ns()
            request = keys_api.parse(head.method, target, exchange.body, content_type, now_ns)
            self._carry_out(exchange, request, rights)
        except ApiError as refusal:
            self.responses.error(exchange, refusal)

    def read(self, exchange: Exchange, request: GetRequest, rights: Rights | None) -> None:
        """Answer a read from the present state. Raises ApiError."""
        replica = self.replica
        viewer = rights if self._access.enforces else None
        found = keys_api.read(replica.keyspace, request, replica.clock.moment(), viewer)
        if found is None:
            self._listings.add(exchange, request)
        else:
            self.responses.keys(exchange, 200, found)

    def break_off_watches(self) -> None:
        """Break off every watch, so that its client asks another member or comes back."""
        for watch in tuple(self.watches):
            watch.break_off()

    def judge_watches(self) -> None:
        """Follow new rights: end the watches whose client sees other keys now, or none."""
        self._unjudged = list(self.watches)
        self._judge_some()

    def _judge_some(self) -> None:
        """Judge some watches, and the others in later turns of the event loop."""
        for watch in self._unjudged[-JUDGED_AT_ONCE_MAX:]:
            if watch in self.watches and watch.rights is not BY_DISCOVERY_TOKEN:
                self._judge(watch)
        del self._unjudged[-JUDGED_AT_ONCE_MAX:]
        if self._unjudged:
            self._loop.soon(self._judge_some)

    def _judge(self, watch: WatchStream) -> None:
        try:
            rights = self._rights_now(watch.exchange, watch.request)
        except ApiError:
            watch.break_off()
            return
        before, watch.rights = watch.rights, rights
        watch.shows = self._shows(rights, watch.request)
        if before is not None and (rights is None or not rights.reads_like(before)):
            watch.end_for_new_rights()

    def read_later(self, exchange: Exchange, request: GetRequest, rights: Rights | None) -> None:
        """Answer a read that waited, with the rights that its client has now. Raises ApiError."""
        if rights is not BY_DISCOVERY_TOKEN:
            rights = self._rights_now(exchange, request)
        self.read(exchange, request, rights)

    def record(self, exchange: Exchange, request: WriteRequest, outcome: Outcome) -> None:
        """Put a write into the audit log."""
        if isinstance(outcome, ApiError):
            operation, key = key_access.verb(request), request.command.key
            self._access.record(exchange, operation, key, index=outcome.index, why=outcome.message)
        elif outcome is not None:
            self._access.record(exchange, outcome.action, outcome.key, index=outcome.index)

    def _shows(
        self, rights: Rights | None, request: WatchRequest
    ) -> Callable[[KeyEvent], bool] | None:
        """Return what a watch shows, None for everything."""
        asked = request.watch_filter
        if rights is None or not asked.recursive or not self._access.enforces:
            return None
        return rights.shows_events(asked.key)

    def _rights_now(self, exchange: Exchange, request: GetRequest | WatchRequest) -> Rights | None:
        rights = self._access.rights_now(exchange)
        if rights is not None:
            self._access.check_key(exchange, rights, request)
        return rights

    def _carry_out(self, exchange: Exchange, request: KeysRequest, rights: Rights | None) -> None:
        replica = self.replica
        if replica.availability.diverged:
            raise ClusterUnavailable(replica.availability.diverged)
        match request:
            case GetRequest(key=key, quorum=quorum):
                # Most ask for a key that the caller is known to read.
                if rights is not None and key not in rights.readable:
                    self._access.check_key(exchange, rights, request)
                if quorum:
                    replica.read(PendingRead(self, exchange, request, rights))
                    self._loop.wake()
                else:
                    self.read(exchange, request, rights)
            case WriteRequest():
                if rights is not None and not key_access.is_known(rights, request):
                    self._access.check_key(exchange, rights, request)
                self._check_size(request)
                waiter = PendingWrite(self, exchange, no_value=request.no_value)
                if rights is not None:
                    waiter.audited = request
                    waiter.blind = not rights.may_read(request.command.key)
                replica.propose(request.command, waiter, request.ttl_ns)
                self._loop.wake()
            case WatchRequest():
                if rights is not None:
                    self._access.check_key(exchange, rights, request)
                self._watch(exchange, request, rights)
            case ReservedRead():
                raise ApiError(KEY_NOT_FOUND, SECURITY.decode(), replica.keyspace.index)
            case _:
                self.responses.refusal(exchange, request)

    def _check_size(self, request: WriteRequest) -> None:
        if (size_bytes := request.value_bytes) > self._value_bytes_max:
            limit = f"--max-request-bytes is {self._value_bytes_max}"
            raise RequestTooLarge(f"the value has {size_bytes} bytes, and {limit}")

    def _list(self, exchange: Exchange, request: GetRequest) -> Iterator[bytes]:
        """Return the body of a long listing. Raises ApiError if its directory is gone."""
        self._loop.advance_time()
        replica = self.replica
        rights = self._rights_now(exchange, request)
        viewer = rights if self._access.enforces else None
        return keys_api.listed(replica.keyspace, request, replica.clock.moment(), viewer)

    def _watch(self, exchange: Exchange, request: WatchRequest, rights: Rights | None) -> None:
        replica = self.replica
        if request.progress_s:  # this client asks to be told whether it has everything
            replica.availability.check()
        stream = WatchStream(
            exchange,
            request,
            replica.clock.moment,
            self._watch_turns,
            replica.availability.is_current,
        )
        stream.ended = self.watches.discard
        stream.rights, stream.shows = rights, self._shows(rights, request)
        if rights is not None and (ends_ns := rights.principal.expires_ns):
            stream.end_after((ends_ns - replica.clock.now_ns()) / 1e9)
        self.watches.add(stream)
        try:
            stream.begin(replica.keyspace.hub, self.responses.keys_head())
        except ApiError:
            self.watches.discard(stream)
            raise


class PendingWrite:
    """A write that waits to be applied."""

    __slots__ = ("_exchange", "_no_value", "_service", "audited", "blind")

    def __init__(self, service: KeysService, exchange: Exchange, *, no_value: bool) -> None:
        self._service = service
        self._exchange = exchange
        self._no_value = no_value
        self.blind = False  # the client may not learn what was there before
        self.audited: WriteRequest | None = None

    def answer(self, outcome: Outcome) -> None:
        """Answer with the event, or with the error."""
        service = self._service
        try:
            if self.audited is not None:
                service.record(self._exchange, self.audited, outcome)
            if isinstance(outcome, ApiError):
                if self.blind and outcome.code == COMPARE_FAILED:
                    outcome = ApiError(COMPARE_FAILED, "", outcome.index)
                service.responses.error(self._exchange, outcome)
                return
            assert outcome is not None
            at = service.replica.clock.moment()
            body = keys_api.written(outcome, at, no_value=self._no_value, blind=self.blind)
            service.responses.keys(self._exchange, keys_api.status_of(outcome), body)
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self._exchange.fail(error)


class PendingRead:
    """A quorum read that waits for its read index."""

    __slots__ = ("_exchange", "_request", "_rights", "_service")

    def __init__(
        self, service: KeysService, exchange: Exchange, request: GetRequest, rights: Rights | None
    ) -> None:
        self._service = service
        self._exchange = exchange
        self._request = request
        self._rights = rights

    def answer(self, outcome: Outcome) -> None:
        """Read, unless no leader could confirm the index."""
        service = self._service
        try:
            if isinstance(outcome, ApiError):
                raise outcome
            service.read_later(self._exchange, self._request, self._rights)
        except ApiError as refusal:
            service.responses.error(self._exchange, refusal)
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self._exchange.fail(error)
