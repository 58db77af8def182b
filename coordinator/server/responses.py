"""Answers on the client port, from values to an HTTP exchange."""

from http import HTTPStatus
from typing import assert_never

from coordinator.core.replica.replica import Replica
from coordinator.core.store.api_errors import ApiError
from coordinator.core.v2api import keys_api, members_api
from coordinator.core.v2api.info_pages import Page
from coordinator.core.v2api.keys_api import KeysRefusal, NotAllowed, NotFound
from coordinator.core.v2api.request_target import BadTarget, Redirect
from daemonkit.http.server import STATUS_LINES, Exchange

KEY_STATUSES = (200, 201, 400, 401, 403, 404, 412, 413, 500, 503, 507)


class Responses:
    """Writes answers with the headers that every answer of this member has."""

    def __init__(self, replica: Replica, cluster_id: int) -> None:
        self._replica = replica
        self._key_heads = {
            status: STATUS_LINES[status]
            + b"Content-Type: %b\r\nX-Etcd-Cluster-Id: %x\r\n" % (keys_api.CONTENT_TYPE, cluster_id)
            for status in KEY_STATUSES
        }
        self._cluster = (b"X-Etcd-Cluster-Id", b"%x" % cluster_id)
        self._lines_at = -1
        self._lines = b""

    def keys(self, exchange: Exchange, status: int, body: bytes) -> None:
        """Answer with the JSON of keys."""
        head = self._key_heads[status] + self._index_lines()
        exchange.reply(b"%bContent-Length: %d\r\n" % (head, len(body)), body)

    def keys_head(self) -> bytes:
        """Return the head of an answer whose body comes later."""
        return self._key_heads[200] + self._index_lines()

    def error(self, exchange: Exchange, refusal: ApiError) -> None:
        """Answer with an error of the keys API."""
        body = refusal.body()
        exchange.reply(
            self._key_heads[refusal.status]
            + b"X-Etcd-Index: %d\r\nContent-Length: %d\r\n" % (refusal.index, len(body)),
            body,
        )

    def refusal(self, exchange: Exchange, refused: KeysRefusal) -> None:
        """Answer a request that is refused for its HTTP alone."""
        match refused:
            case Redirect():
                extra = b"Location: %b\r\n" % refused.location
                self.plain(exchange, 301, refused.content_type, refused.body, extra)
            case BadTarget():
                self.plain(exchange, 400, refused.content_type, refused.body)
            case NotAllowed():
                extra = b"Allow: %b\r\n" % refused.allow
                self.plain(exchange, 405, refused.content_type, refused.body, extra)
            case NotFound():
                self.plain(exchange, 404, refused.content_type, refused.body)
            case _:
                assert_never(refused)

    def page(self, exchange: Exchange, page: Page) -> None:
        """Answer with a page."""
        headers = (self._cluster, *page.headers)
        extra = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.plain(exchange, page.status, page.content_type, page.body, extra)

    def unavailable(self, exchange: Exchange, why: str) -> None:
        """Answer that it cannot be done now, and why."""
        self.page(exchange, members_api.unavailable(why))

    def backup_head(self) -> bytes:
        """Return the head of a backup."""
        head = STATUS_LINES[200] + b"Content-Type: application/octet-stream\r\n"
        return head + b"%b: %b\r\n" % self._cluster + self._index_lines()

    def plain(
        self, exchange: Exchange, status: int, content_type: bytes, body: bytes, extra: bytes = b""
    ) -> None:
        """Answer with these bytes."""
        head = STATUS_LINES[status] + extra
        if status == HTTPStatus.NO_CONTENT:  # it must not have a length (RFC 9110, 8.6)
            exchange.reply(head)
            return
        if content_type:
            head += b"Content-Type: %b\r\n" % content_type
        exchange.reply(b"%bContent-Length: %d\r\n" % (head, len(body)), body)

    def _index_lines(self) -> bytes:
        """Return the lines that say how far the store is; only an applied entry changes them."""
        replica = self._replica
        applied = replica.node.log.applied
        if applied != self._lines_at:
            self._lines_at = applied
            self._lines = b"X-Etcd-Index: %d\r\nX-Raft-Index: %d\r\nX-Raft-Term: %d\r\n" % (
                replica.keyspace.index,
                applied,
                replica.node.term,
            )
        return self._lines
