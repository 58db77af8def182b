"""From an HTTP exchange to the key space and back: the shell around `api`.

Reads are answered on the spot; a write is proposed, and `answer` is called when its outcome
is known.
"""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Protocol, assert_never

from coordinator.api import keys, paths
from coordinator.api.keys import NotAllowed, NotFound, Parsed, Read, WatchRequest, Write
from coordinator.api.pages import Standing, page
from coordinator.api.paths import BadTarget, Redirect
from coordinator.errors import INVALID_FORM, ApiError
from coordinator.replica import Outcome, Replica
from coordinator.store.commands import Command
from coordinator.watching import Watching, WatchStream
from daemonkit import metrics
from daemonkit.http.server import STATUS_LINES, Exchange
from daemonkit.metrics import Sample

# Go's form parser stops here; it bounds a value, and with it an entry of the log.
FORM_BYTES_MAX = 10 * 1024 * 1024


class Member(Protocol):
    """The running member that the answers come from and writes go to."""

    replica: "Replica[Waiter]"

    def propose(self, command: Command, waiter: "Waiter") -> None:
        """Put a command in the log; the waiter is answered when it is applied."""
        ...

    def standing(self) -> Standing:
        """Return how the member stands now."""
        ...

    def samples(self) -> Iterable[Sample]:
        """Return the metrics."""
        ...


class Waiter:
    """A write whose outcome is awaited."""

    __slots__ = ("exchange", "no_value")

    def __init__(self, exchange: Exchange, *, no_value: bool) -> None:
        self.exchange = exchange
        self.no_value = no_value


class Answers:
    """Answers every request on the client port."""

    def __init__(self, member: Member, cluster: int) -> None:
        self._member = member
        self._replica = member.replica
        self._keyspace = member.replica.keyspace
        self._key_heads = {
            status: STATUS_LINES[status]
            + b"Content-Type: %b\r\nX-Etcd-Cluster-Id: %x\r\n" % (keys.CONTENT_TYPE, cluster)
            for status in (200, 201, 400, 401, 403, 404, 412, 500, 503)
        }
        self.watches: set[WatchStream] = set()
        self.requests: Counter[bytes] = Counter()
        self._marked = -1
        self._mark_lines = b""

    def __call__(self, exchange: Exchange) -> None:
        """Answer one exchange, now or when its write is applied."""
        head = exchange.head
        method, target = head.method, head.target
        self.requests[method] += 1
        beside = method == b"OPTIONS" or not target.startswith(keys.PREFIX)
        if beside and self._other(exchange):
            return
        now_ns = time.time_ns()
        content_type = head.fields.get(b"content-type", b"")
        try:
            if len(exchange.body) > FORM_BYTES_MAX:
                raise ApiError(INVALID_FORM, "http: POST too large")
            parsed = keys.parse(method, target, exchange.body, content_type, now_ns)
            self._act(exchange, parsed, now_ns)
        except ApiError as refusal:
            self._refuse(exchange, refusal)

    def answer(self, waiter: Waiter, outcome: Outcome) -> None:
        """Answer a write that was applied."""
        if isinstance(outcome, ApiError):
            self._refuse(waiter.exchange, outcome)
            return
        assert outcome is not None
        body = keys.written(outcome, time.time_ns(), no_value=waiter.no_value)
        self._reply(waiter.exchange, keys.status_of(outcome), body)

    def end_watches(self) -> None:
        """End every watch, so that its client asks another member or comes back."""
        for watch in tuple(self.watches):
            watch.end()

    def _act(self, exchange: Exchange, parsed: Parsed, now_ns: int) -> None:
        match parsed:
            case Read():
                self._reply(exchange, 200, keys.read(self._keyspace, parsed, now_ns))
            case Write():
                self._member.propose(parsed.command, Waiter(exchange, no_value=parsed.no_value))
            case WatchRequest():
                self._watch(exchange, parsed)
            case _:
                self._turn_away(exchange, parsed)

    def _turn_away(self, exchange: Exchange, refused: keys.Refused) -> None:
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
                self._keyspace.index,
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
        after = asked.after(self._keyspace.index)
        stream = WatchStream(
            exchange, Watching(asked.interest, after, asked.stream, asked.progress_s)
        )
        stream.ended = self.watches.discard
        self.watches.add(stream)
        try:
            stream.begin(self._keyspace.hub, self._key_heads[200] + self._marks())
        except ApiError:
            self.watches.discard(stream)
            raise

    def _other(self, exchange: Exchange) -> bool:
        """Answer what is not about keys; False when behind its escapes the target is one."""
        head = exchange.head
        split = paths.split(head.target)
        if isinstance(split, BadTarget):
            self._turn_away(exchange, split)
            return True
        if paths.clean(split.path) != split.path:
            self._turn_away(exchange, paths.redirect(head.method, split))
            return True
        if split.path.startswith(keys.PREFIX) and head.method != b"OPTIONS":
            return False
        if split.path == b"/metrics" and head.method in {b"GET", b"HEAD"}:
            body = metrics.exposition(self._member.samples())
            self._plain(exchange, 200, metrics.CONTENT_TYPE.encode(), body)
            return True
        path = split.path.decode(errors="replace")
        found = page(head.method.decode(), path, self._member.standing())
        extra = b"".join(b"%b: %b\r\n" % header for header in found.headers)
        self._plain(exchange, found.status, found.content_type, found.body, extra)
        return True

    def _plain(
        self, exchange: Exchange, status: int, content_type: bytes, body: bytes, extra: bytes = b""
    ) -> None:
        head = STATUS_LINES[status]
        if content_type:
            head += b"Content-Type: %b\r\n" % content_type
        exchange.reply(b"%b%bContent-Length: %d\r\n" % (head, extra, len(body)), body)
