"""`locksmith-fleetlock`: a FleetLock server on the same semaphores, for hosts with zincati."""

import asyncio
import hmac
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Store
from daemonkit.core.addresses import parse_address
from daemonkit.core.samples import Sample
from daemonkit.http import server
from daemonkit.http.exchange import Exchange
from daemonkit.http.server import Limits, Server
from daemonkit.http.tls import TlsFiles, load, server_context
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.listening_socket import listening_socket
from locksmith.core import fleetlock_protocol, keys, policy, records
from locksmith.core.fleetlock_protocol import Operation, Reply, Request
from locksmith.core.records import Happening
from locksmith.store import events, semaphore_client
from locksmith.store.compare_and_swap import Done, Pace
from locksmith.store.semaphore_client import Slots

# A request is some hundred bytes, and a fleet's hosts ask every five minutes.
LIMITS = Limits(head_bytes_max=8192, body_bytes_max=4096, connections_max=2000)
DRAIN_S = 5.0

_log = logs.get("locksmith-fleetlock")


@dataclass(frozen=True, slots=True)
class Door:
    """Where clients come in: the address, TLS, and a token that they must show."""

    address: str
    tls: TlsFiles | None = None
    token: bytes = b""


@dataclass(slots=True)
class _Counts:
    requests: dict[str, int] = field(default_factory=dict)
    replies: dict[str, int] = field(default_factory=dict)


class Gateway:
    """The daemon, for `daemonkit.process.lifecycle`."""

    def __init__(self, store: Store, door: Door, status_addr: str, failures_max: int) -> None:
        self._store, self._door, self._failures_max = store, door, failures_max
        self._pace = Pace(time.monotonic, time.sleep, lambda limit_s: random.uniform(0, limit_s))
        self._server = Server(self._asked, limits=LIMITS)
        self._tls = server_context(door.tls) if door.tls else None
        self._counts = _Counts()
        self._store_error = ""
        self.page = StatusPage(
            status_addr,
            health=lambda: Probe(ok=True),
            ready=lambda: Probe(ok=not self._store_error, detail={"store": self._store_error}),
            state=lambda: {"requests": self._counts.requests, "replies": self._counts.replies},
            samples=self._samples,
        )

    async def start(self, life: Lifecycle) -> None:
        """Listen."""
        self._life = life
        await self.page.start()
        sock = listening_socket(parse_address(self._door.address), socket.SOCK_STREAM)
        host, port = sock.getsockname()[:2]
        await self._server.listen(sock, tls=self._tls)
        guarded = bool(self._door.token) or bool(self._door.tls and self._door.tls.require_client)
        _log.info("started", address=f"{host}:{port}", tls=self._tls is not None, guarded=guarded)

    async def drain(self) -> None:
        """Answer what is under way."""
        await self._server.drain(DRAIN_S)
        await self.page.stop()

    def reload(self) -> None:
        """Read the certificates again."""
        if self._tls is not None and self._door.tls is not None:
            load(self._tls, self._door.tls)

    def _asked(self, exchange: Exchange) -> None:
        head = exchange.head
        if not self._may(head.fields.get(b"authorization", b"")):
            self._answer(exchange, fleetlock_protocol.UNAUTHORIZED)
            return
        request = fleetlock_protocol.read(head.method, head.target, head.fields, exchange.body)
        if isinstance(request, Reply):
            self._answer(exchange, request)
            return
        name = request.operation.name.lower()
        self._counts.requests[name] = self._counts.requests.get(name, 0) + 1
        self._life.spawn(self._serve(exchange, request), "request")

    def _may(self, authorization: bytes) -> bool:
        wanted = self._door.token
        return not wanted or hmac.compare_digest(authorization, b"Bearer " + wanted)

    async def _serve(self, exchange: Exchange, request: Request) -> None:
        try:
            reply = await asyncio.to_thread(self._decide, request)
            self._store_error = ""
        except StoreError as error:
            self._store_error = str(error)
            reply = fleetlock_protocol.store_failed(str(error))
        level = _log.info if reply.status == 200 else _log.warning
        level(request.operation.name.lower(), id=request.id, group=request.group, kind=reply.kind)
        self._answer(exchange, reply)

    def _answer(self, exchange: Exchange, reply: Reply) -> None:
        self._counts.replies[reply.kind] = self._counts.replies.get(reply.kind, 0) + 1
        body = reply.body()
        head = server.STATUS_LINES[reply.status] + b"Content-Type: application/json\r\n"
        head += b"Allow: POST\r\n" if reply.status == 405 else b""
        exchange.reply(head + b"Content-Length: %d\r\n" % len(body), body)

    def _decide(self, request: Request) -> Reply:
        held = Slots(self._store, request.group, self._pace)
        own_id = self._machine_id(request.id)
        if request.operation is Operation.UNLOCK:
            return self._unlock(held, request, own_id)
        reading = held.read()
        if request.group and not reading.modified:
            return fleetlock_protocol.unknown_group(request.group)
        if {own_id, request.id} & set(reading.semaphore.holders):
            held.take(own_id, request.id)
            return fleetlock_protocol.GRANTED
        if stops := held.stops(own_id):
            return fleetlock_protocol.paused("; ".join(stops))
        below = f"{keys.FAILURES}/{keys.segment(request.group)}"
        failures = tuple(keys.last_name(entry.key) for entry in self._store.list(below).entries)
        if why := policy.halted(failures, self._failures_max):
            return fleetlock_protocol.halted(why[0])
        outcome = held.take(own_id, request.id)
        if not isinstance(outcome, Done):
            return fleetlock_protocol.full(outcome)
        self._note(request, own_id, "granted")
        return fleetlock_protocol.GRANTED

    def _unlock(self, held: Slots, request: Request, own_id: str) -> Reply:
        record = held.standing(own_id).record
        if record is not None and record.by == semaphore_client.DAEMON:
            return fleetlock_protocol.KEPT
        for name in dict.fromkeys((own_id, request.id)):
            if isinstance(held.give_back(name), Done):
                self._note(request, own_id, "released")
        return fleetlock_protocol.RELEASED

    def _machine_id(self, own_id: str) -> str:
        """Return under which name the host holds its slots, if its locksmithd has told."""
        try:
            return self._store.get(keys.alias(own_id)).value
        except KeyNotFound:
            return own_id

    def _note(self, request: Request, own_id: str, event: str) -> None:
        now = records.stamp(datetime.now(UTC))
        happening = Happening(now, event, own_id, "", f"for {request.id}", "locksmith-fleetlock")
        try:
            events.write(self._store, request.group, happening)
        except StoreError as error:
            _log.warning("history-not-written", error=str(error))

    def _samples(self) -> Iterator[Sample]:
        tables = (
            ("requests", "api", "Requests by what was asked.", self._counts.requests),
            ("replies", "kind", "Replies by their kind.", self._counts.replies),
        )
        for what, label, text, counts in tables:
            name = f"locksmith_fleetlock_{what}_total"
            for value, count in counts.items():
                yield Sample(name, "counter", text, count, {label: value})
