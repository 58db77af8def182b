"""From an HTTP exchange to the key space and back: the shell around `api`.

Reads are answered on the spot; a write is proposed, and `answer` is called when its outcome
is known.
"""

import secrets
import time
from collections import Counter
from collections.abc import Iterable
from typing import Protocol, assert_never

from coordinator.bootstrap import discovery_service
from coordinator.core.cluster import members as cluster
from coordinator.core.raft.membership import AddLearner, Promote, Remove
from coordinator.core.replica.replica import Outcome, Replica
from coordinator.core.store.api_errors import INVALID_FORM, ApiError, ClusterUnavailable
from coordinator.core.store.commands import Put
from coordinator.core.v2api import keys_api, members_api, request_target
from coordinator.core.v2api.info_pages import MemberStatus, Page, page
from coordinator.core.v2api.keys_api import (
    GetRequest,
    KeysRequest,
    NotAllowed,
    NotFound,
    WatchRequest,
    WriteRequest,
)
from coordinator.core.v2api.members_api import (
    PromoteMember,
    RejectedRequest,
    RemoveMember,
    TransferLeadership,
    UpdateMember,
)
from coordinator.core.v2api.request_target import BadTarget, Redirect
from coordinator.server.backup_stream import STREAMS_MAX, BackupStream
from coordinator.server.watch_response import Watching, WatchStream
from daemonkit.core.samples import Sample
from daemonkit.http.server import STATUS_LINES, Exchange
from daemonkit.observe import metrics

# Go's form parser stops here; it bounds a value, and with it an entry of the log.
FORM_BYTES_MAX = 10 * 1024 * 1024


class Member(Protocol):
    """The running member that the answers come from and writes go to."""

    replica: "Replica[Waiter]"

    @property
    def grows(self) -> bool:
        """Whether other members could reach this one."""
        ...

    def wake(self) -> None:
        """Drive the log soon."""
        ...

    def advance_time(self) -> None:
        """Tell the replica what time it is."""
        ...

    def status(self) -> MemberStatus:
        """Return how the member stands now."""
        ...

    def samples(self) -> Iterable[Sample]:
        """Return the metrics."""
        ...


class Written:
    """A write whose outcome is awaited."""

    __slots__ = ("exchange", "no_value")

    def __init__(self, exchange: Exchange, *, no_value: bool) -> None:
        self.exchange = exchange
        self.no_value = no_value


class Asked:
    """A quorum read that waits for its index."""

    __slots__ = ("exchange", "read")

    def __init__(self, exchange: Exchange, read: GetRequest) -> None:
        self.exchange = exchange
        self.read = read


class Changed:
    """A change of the cluster that waits to be carried out; `page` answers it then."""

    __slots__ = ("exchange", "page")

    def __init__(self, exchange: Exchange, page: Page) -> None:
        self.exchange = exchange
        self.page = page


class Copied:
    """A backup that waits until this member has all that was acknowledged."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange


Waiter = Written | Asked | Changed | Copied


class Answers:
    """Answers every request on the client port."""

    def __init__(self, member: Member, cluster_id: int) -> None:
        self._member = member
        self._replica = member.replica
        self._key_heads = {
            status: STATUS_LINES[status]
            + b"Content-Type: %b\r\nX-Etcd-Cluster-Id: %x\r\n" % (keys_api.CONTENT_TYPE, cluster_id)
            for status in (200, 201, 400, 401, 403, 404, 412, 500, 503)
        }
        self._cluster = (b"X-Etcd-Cluster-Id", b"%x" % cluster_id)
        self.watches: set[WatchStream] = set()
        self._backups: set[BackupStream] = set()
        self.requests: Counter[bytes] = Counter()
        self._marked = -1
        self._mark_lines = b""

    def __call__(self, exchange: Exchange) -> None:
        """Answer one exchange, now or when its write is applied."""
        head = exchange.head
        method, target = head.method, head.target
        self.requests[method] += 1
        beside = method == b"OPTIONS" or not target.startswith(keys_api.PREFIX)
        if beside and self._other(exchange):
            return
        self._member.advance_time()
        self._keys(exchange, target)

    def _keys(self, exchange: Exchange, target: bytes) -> None:
        head = exchange.head
        now_ns = self._replica.cluster_ns()
        content_type = head.fields.get(b"content-type", b"")
        try:
            if len(exchange.body) > FORM_BYTES_MAX:
                raise ApiError(INVALID_FORM, "http: POST too large")
            parsed = keys_api.parse(head.method, target, exchange.body, content_type, now_ns)
            self._act(exchange, parsed)
        except ApiError as refusal:
            self._refuse(exchange, refusal)

    def answer(self, waiter: Waiter, outcome: Outcome) -> None:
        """Answer what was decided."""
        if isinstance(waiter, Written):
            if isinstance(outcome, ApiError):
                self._refuse(waiter.exchange, outcome)
                return
            assert outcome is not None
            now_ns = self._replica.cluster_ns()
            body = keys_api.written(outcome, now_ns, no_value=waiter.no_value)
            self._reply(waiter.exchange, keys_api.status_of(outcome), body)
        elif isinstance(waiter, Asked):
            try:
                if isinstance(outcome, ApiError):
                    raise outcome
                self._read(waiter.exchange, waiter.read)
            except ApiError as refusal:
                self._refuse(waiter.exchange, refusal)
        elif isinstance(outcome, ApiError):
            self._show(waiter.exchange, members_api.unavailable(outcome.cause))
        elif isinstance(waiter, Copied):
            self._copy(waiter.exchange)
        else:
            self._show(waiter.exchange, waiter.page)

    def peer(self, exchange: Exchange) -> None:
        """Answer plain HTTP on the peer port."""
        status = self._member.status()
        self._show(exchange, members_api.peer_page(exchange.head.target, status))

    def end_watches(self) -> None:
        """End every watch, so that its client asks another member or comes back."""
        for watch in tuple(self.watches):
            watch.end()

    def _act(self, exchange: Exchange, parsed: KeysRequest) -> None:
        if self._replica.diverged:
            raise ClusterUnavailable(self._replica.diverged)
        match parsed:
            case GetRequest(quorum=True):
                self._replica.read(Asked(exchange, parsed))
                self._member.wake()
            case GetRequest():
                self._read(exchange, parsed)
            case WriteRequest():
                waiter = Written(exchange, no_value=parsed.no_value)
                self._replica.propose(parsed.command, waiter)
                self._member.wake()
            case WatchRequest():
                self._watch(exchange, parsed)
            case _:
                self._turn_away(exchange, parsed)

    def _read(self, exchange: Exchange, query: GetRequest) -> None:
        replica = self._replica
        self._reply(exchange, 200, keys_api.read(replica.keyspace, query, replica.cluster_ns()))

    def _turn_away(self, exchange: Exchange, refused: keys_api.KeysRefusal) -> None:
        match refused:
            case Redirect():
                extra = b"Location: %b\r\n" % refused.location
                self._plain(exchange, 301, refused.content_type, refused.body, extra)
            case BadTarget():
                self._plain(exchange, 400, refused.content_type, refused.body)
            case NotAllowed():
                extra = b"Allow: %b\r\n" % refused.allow
                self._plain(exchange, 405, refused.content_type, refused.body, extra)
            case NotFound():
                self._plain(exchange, 404, refused.content_type, refused.body)
            case _:
                assert_never(refused)

    def _reply(self, exchange: Exchange, status: int, body: bytes) -> None:
        head = self._key_heads[status] + self._marks()
        exchange.reply(b"%bContent-Length: %d\r\n" % (head, len(body)), body)

    def _marks(self) -> bytes:
        """Return the lines that say how far the store is; only an applied entry changes them."""
        replica = self._replica
        if replica.applied != self._marked:
            self._marked = replica.applied
            self._mark_lines = b"X-Etcd-Index: %d\r\nX-Raft-Index: %d\r\nX-Raft-Term: %d\r\n" % (
                self._replica.keyspace.index,
                replica.applied,
                replica.term,
            )
        return self._mark_lines

    def _refuse(self, exchange: Exchange, refusal: ApiError) -> None:
        body = refusal.body()
        exchange.reply(
            self._key_heads[refusal.status]
            + b"X-Etcd-Index: %d\r\nContent-Length: %d\r\n" % (refusal.index, len(body)),
            body,
        )

    def _watch(self, exchange: Exchange, asked: WatchRequest) -> None:
        after = asked.after(self._replica.keyspace.index)
        stream = WatchStream(
            exchange,
            Watching(asked.watch_filter, after, asked.stream, asked.progress_s),
            self._replica.cluster_ns,
        )
        stream.ended = self.watches.discard
        self.watches.add(stream)
        try:
            stream.begin(self._replica.keyspace.hub, self._key_heads[200] + self._marks())
        except ApiError:
            self.watches.discard(stream)
            raise

    def _other(self, exchange: Exchange) -> bool:
        """Answer what is not about keys; False when behind its escapes the target is one."""
        head = exchange.head
        split = request_target.split(head.target)
        if isinstance(split, BadTarget):
            self._turn_away(exchange, split)
            return True
        if request_target.clean(split.path) != split.path:
            self._turn_away(exchange, request_target.redirect(head.method, split))
            return True
        if split.path.startswith(keys_api.PREFIX) and head.method != b"OPTIONS":
            return False
        if split.path == b"/metrics" and head.method in {b"GET", b"HEAD"}:
            body = metrics.exposition(self._member.samples())
            self._plain(exchange, 200, metrics.CONTENT_TYPE.encode(), body)
            return True
        path = split.path.decode(errors="replace")
        if (place := discovery_service.keys_path(path)) is not None:
            query = b"?" + split.query if split.query else b""
            self._keys(exchange, place.encode() + query)
        elif path == "/v2/backup" and head.method == b"GET":
            self._backup(exchange, split.query)
        elif path == "/new" and head.method in {b"GET", b"PUT"}:
            self._new_token(exchange, split.query)
        elif path.startswith("/v2/members") and head.method in {b"POST", b"PUT", b"DELETE"}:
            self._reconfigure(exchange, path)
        else:
            self._show(exchange, page(head.method.decode(), path, self._member.status()))
        return True

    def _backup(self, exchange: Exchange, query: bytes) -> None:
        """Send the state: by default once it has all that was acknowledged anywhere before."""
        if b"quorum=false" in query.split(b"&"):
            self._copy(exchange)
            return
        self._member.advance_time()
        try:
            self._replica.read(Copied(exchange))
        except ClusterUnavailable as refusal:
            self._show(exchange, members_api.unavailable(refusal.cause))
        self._member.wake()

    def _copy(self, exchange: Exchange) -> None:
        if exchange.finished:
            return
        if self._replica.diverged or len(self._backups) >= STREAMS_MAX:
            busy = f"{STREAMS_MAX} backups are on their way already"
            self._show(exchange, members_api.unavailable(self._replica.diverged or busy))
            return
        try:
            stream = BackupStream(exchange, self._replica, self._backups.discard)
        except OSError as error:
            why = f"cannot begin a backup: {error.strerror}"
            self._show(exchange, members_api.unavailable(why))
            return
        self._backups.add(stream)
        head = STATUS_LINES[200] + b"Content-Type: application/octet-stream\r\n"
        stream.begin(head + b"%b: %b\r\n" % self._cluster + self._marks())

    def _new_token(self, exchange: Exchange, query: bytes) -> None:
        """Make a token for discovery; its URL is the answer once its size is in the store."""
        host = exchange.head.fields.get(b"host", b"").decode(errors="replace")
        base = f"http{'s' if exchange.secure else ''}://{host}"
        token = secrets.token_hex(16)
        size = discovery_service.size_asked(query)
        if size is None:
            self._show(exchange, members_api.bad_size(query))
            return
        command = Put(
            f"{discovery_service.REGISTRY}/{token}/_config/size".encode(),
            b"%d" % size,
            prev_exist=False,
        )
        try:
            self._replica.propose(command, Changed(exchange, members_api.text(f"{base}/{token}")))
        except ClusterUnavailable as refusal:
            self._show(exchange, members_api.unavailable(refusal.cause))
        self._member.wake()

    def _reconfigure(self, exchange: Exchange, path: str) -> None:
        head = exchange.head
        content_type = head.fields.get(b"content-type", b"")
        status = self._member.status()
        asked = members_api.parse(
            (head.method, path, content_type), exchange.body, status, time.time()
        )
        replica = self._replica
        try:
            match asked:
                case RejectedRequest(page=bad):
                    self._show(exchange, bad)
                case members_api.AddMember() if not self._member.grows:
                    self._show(exchange, members_api.ALONE)
                case members_api.AddMember(member=member):
                    added = members_api.added(member)
                    learner = AddLearner(member.id, cluster.encode_peer_urls(member.peer_urls))
                    replica.ask(learner, Changed(exchange, added))
                case RemoveMember(member=member_id):
                    replica.ask(Remove(member_id), Changed(exchange, members_api.DONE))
                case PromoteMember(member=member_id):
                    replica.ask(Promote(member_id), Changed(exchange, members_api.DONE))
                case UpdateMember(member=member_id, peer_urls=urls):
                    note = cluster.peer_urls_note(member_id, urls)
                    replica.propose(note, Changed(exchange, members_api.DONE))
                case TransferLeadership(target=target):
                    replica.ask(target, Changed(exchange, members_api.DONE))
                case _:
                    assert_never(asked)
        except ClusterUnavailable as refusal:
            self._show(exchange, members_api.unavailable(refusal.cause))
        self._member.wake()

    def _show(self, exchange: Exchange, found: Page) -> None:
        headers = (self._cluster, *found.headers)
        extra = b"".join(b"%b: %b\r\n" % header for header in headers)
        self._plain(exchange, found.status, found.content_type, found.body, extra)

    def _plain(
        self, exchange: Exchange, status: int, content_type: bytes, body: bytes, extra: bytes = b""
    ) -> None:
        head = STATUS_LINES[status]
        if content_type:
            head += b"Content-Type: %b\r\n" % content_type
        exchange.reply(b"%b%bContent-Length: %d\r\n" % (head, extra, len(body)), body)
