"""Requests that are not about keys: changes of the cluster, discovery tokens and backups."""

import secrets
import time
from collections.abc import Callable
from typing import assert_never

from coordinator.bootstrap import discovery_service
from coordinator.core.cluster.members import encode_peer_urls, peer_urls_note
from coordinator.core.raft.membership import AddLearner, Promote, Remove
from coordinator.core.replica.pending import LeaderRequest, Outcome
from coordinator.core.store.api_errors import ApiError, ClusterUnavailable
from coordinator.core.store.commands import Put
from coordinator.core.v2api import members_api
from coordinator.core.v2api.info_pages import Page, page
from coordinator.core.v2api.members_api import (
    AddMember,
    MembersRequest,
    PromoteMember,
    RejectedRequest,
    RemoveMember,
    TransferLeadership,
    UpdateMember,
)
from coordinator.server.access.access_control import AccessControl
from coordinator.server.backup_stream import STREAMS_MAX, BackupStream
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.responses import Responses
from coordinator.server.telemetry import Telemetry
from daemonkit.http.server import Exchange


class ClusterService:
    """Answers requests about the cluster. `grows`: other members could reach this one."""

    def __init__(
        self,
        loop: DriveLoop,
        responses: Responses,
        telemetry: Telemetry,
        access: AccessControl,
        *,
        grows: bool,
    ) -> None:
        self._loop = loop
        self._access = access
        self._replica = loop.replica
        self.responses = responses
        self._telemetry = telemetry
        self._grows = grows
        self._backups: set[BackupStream] = set()

    def members(self, exchange: Exchange, path: str, _: bytes) -> None:
        """List the members."""
        method = exchange.head.method.decode()
        self.page(exchange, lambda: page(method, path, self._telemetry.member_status()))

    def page(self, exchange: Exchange, made: Callable[[], Page]) -> None:
        """Answer with a page about the members, once this one knows what any has acknowledged."""
        self._currently(exchange, lambda: self.responses.page(exchange, made()))

    def change_members(self, exchange: Exchange, path: str, _: bytes) -> None:
        """Add, update, promote or remove a member, or transfer leadership."""
        self._currently(exchange, lambda: self._change_members(exchange, path))

    def _currently(self, exchange: Exchange, answer: Callable[[], None]) -> None:
        """Answer from a state that has all that was acknowledged; at once if nobody can tell."""
        if not self._replica.node.leader:
            answer()
            return
        try:
            self._replica.read(PendingAnswer(exchange, answer))
        except ClusterUnavailable:
            answer()
        self._loop.wake()

    def _change_members(self, exchange: Exchange, path: str) -> None:
        head = exchange.head
        content_type = head.fields.get(b"content-type", b"")
        request = members_api.parse(
            (head.method, path, content_type),
            exchange.body,
            self._telemetry.member_status(),
            time.time(),
        )
        self._carry_out(exchange, request)

    def new_token(self, exchange: Exchange, _: str, query: bytes) -> None:
        """Make a token for discovery; its URL is the answer once its size is in the store."""
        size = discovery_service.size_asked(query)
        if size is None:
            self.responses.page(exchange, members_api.bad_size(query))
            return
        host = exchange.head.fields.get(b"host", b"").decode(errors="replace")
        token = secrets.token_hex(16)
        key = f"{discovery_service.REGISTRY}/{token}/_config/size"
        command = Put(key.encode(), b"%d" % size, prev_exist=False)
        url = f"http{'s' if exchange.secure else ''}://{host}/{token}"
        self._propose(exchange, command, members_api.text(url))

    def backup(self, exchange: Exchange, _: str, query: bytes) -> None:
        """Send the state: by default once it has all that was acknowledged anywhere before."""
        if b"quorum=false" in query.split(b"&"):
            self.copy(exchange)
            return
        try:
            self._replica.read(PendingBackup(self, exchange))
        except ClusterUnavailable as refusal:
            self.responses.unavailable(exchange, refusal.cause)
        self._loop.wake()

    def copy(self, exchange: Exchange) -> None:
        """Send the present state."""
        if exchange.finished:
            return
        diverged = self._replica.availability.diverged
        if diverged or len(self._backups) >= STREAMS_MAX:
            busy = f"{STREAMS_MAX} backups are on their way already"
            self.responses.unavailable(exchange, diverged or busy)
            return
        try:
            stream = BackupStream(exchange, self._replica, self._backups.discard)
        except OSError as error:
            self.responses.unavailable(exchange, f"cannot begin a backup: {error.strerror}")
            return
        self._backups.add(stream)
        if self._access.active:
            self._access.record(exchange, "backup", index=self._replica.keyspace.index)
        stream.begin(self.responses.backup_head())

    def _carry_out(self, exchange: Exchange, request: MembersRequest) -> None:
        done = members_api.DONE
        match request:
            case RejectedRequest(page=page):
                self.responses.page(exchange, page)
            case AddMember() if not self._grows:
                self.responses.page(exchange, members_api.ALONE)
            case AddMember(member=member):
                learner = AddLearner(member.id, encode_peer_urls(member.peer_urls))
                self._propose(exchange, learner, members_api.added(member))
            case RemoveMember(member=member_id):
                self._propose(exchange, Remove(member_id), done)
            case PromoteMember(member=member_id):
                self._propose(exchange, Promote(member_id), done)
            case UpdateMember(member=member_id, peer_urls=urls):
                self._propose(exchange, peer_urls_note(member_id, urls), done)
            case TransferLeadership(target=target):
                self._propose(exchange, target, done)
            case _:
                assert_never(request)

    def _propose(self, exchange: Exchange, request: LeaderRequest, page: Page) -> None:
        """Ask the leader for it; `page` is the answer when it is done."""
        try:
            self._replica.propose(request, PendingChange(self, exchange, page))
        except ClusterUnavailable as refusal:
            self.responses.unavailable(exchange, refusal.cause)
        self._loop.wake()

    def changed(self, exchange: Exchange, page: Page, why: str) -> None:
        """Answer with the page of a change that was carried out, or why it was not."""
        operation = f"{exchange.head.method.decode()} {exchange.head.target.decode('latin-1')}"
        if self._access.active:
            self._access.record(exchange, operation, index=self._replica.keyspace.index, why=why)
        if why:
            self.responses.unavailable(exchange, why)
        else:
            self.responses.page(exchange, page)


class PendingAnswer:
    """An answer that waits until this member knows what others have acknowledged."""

    __slots__ = ("_answer", "_exchange")

    def __init__(self, exchange: Exchange, answer: Callable[[], None]) -> None:
        self._exchange = exchange
        self._answer = answer

    def answer(self, _: Outcome) -> None:
        """Answer, also if no leader could confirm it: what this member knows is all there is."""
        if self._exchange.finished:
            return
        try:
            self._answer()
        except Exception as error:  # noqa: BLE001 - the exchange's boundary, after its callback
            self._exchange.fail(error)


class PendingChange:
    """A change that waits to be carried out."""

    __slots__ = ("_exchange", "_page", "_service")

    def __init__(self, service: ClusterService, exchange: Exchange, page: Page) -> None:
        self._service = service
        self._exchange = exchange
        self._page = page

    def answer(self, outcome: Outcome) -> None:
        """Answer with the page, or why it was not carried out."""
        why = outcome.cause or outcome.message if isinstance(outcome, ApiError) else ""
        self._service.changed(self._exchange, self._page, why)


class PendingBackup:
    """A backup that waits until this member has all that was acknowledged."""

    __slots__ = ("_exchange", "_service")

    def __init__(self, service: ClusterService, exchange: Exchange) -> None:
        self._service = service
        self._exchange = exchange

    def answer(self, outcome: Outcome) -> None:
        """Begin to send the state."""
        if isinstance(outcome, ApiError):
            self._service.responses.unavailable(self._exchange, outcome.cause)
        else:
            self._service.copy(self._exchange)
