"""Asks other servers: over UDP from a fresh port for each question, else over TCP.

TCP is asked when a reply is truncated, when it lacks the proof that it is the server's own, and
when several packets come that match no question, which is what a forger's guesses look like.

When a server does not answer for a moment, the next one is asked too, and the first good reply
counts. Everything ends within DEADLINE_S, before a stub resolver gives up.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from daemonkit.observe.process_counters import record_error
from skydns.core.config import Config, ServerAddress
from skydns.core.forward import upstream_query
from skydns.core.forward.forwarder import Forwarder, PendingForward
from skydns.core.forward.health import UpstreamHealth
from skydns.core.forward.message import ReplyMismatch, UpstreamReply
from skydns.core.forward.upstream_query import BADCOOKIE, Cookies, UpstreamQuery

DEADLINE_S = 4.0
# Nearly all replies of a near server come within a tenth of this.
HEDGE_S = 0.3
# Each takes a socket and about 10 kB.
IN_FLIGHT_MAX = 512
WAITING_MAX = 4096
# A server sends no packet that does not match, so a few of them are a forger's.
FORGED_MAX = 3

Send = Callable[[bytes], None]


@dataclass(slots=True)
class UpstreamCounts:
    """Counts since the start."""

    asked: int = 0
    failed: int = 0
    rejected: int = 0
    forged: int = 0


class UpstreamClient:
    """Runs pending forwards. Those with the same key share one lookup, which also ends loops."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._health = UpstreamHealth()
        self._cookies = Cookies(secrets.token_bytes)
        self._rotations = count()
        self._waiting: dict[bytes, list[tuple[PendingForward, Send]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_count = 0
        self._rotate = True
        self._timeout_s = 2.0
        self.counts = UpstreamCounts()

    def configure(self, config: Config) -> None:
        """Ask with these settings from now on."""
        self._rotate, self._timeout_s = config.ns_rotate, config.upstream_timeout_s

    def forward(self, pending: PendingForward, send: Send) -> None:
        """Get the reply that the client waits for, and send it."""
        waiting = self._waiting.get(pending.key)
        full = self._waiting_count >= WAITING_MAX
        if full or (waiting is None and len(self._waiting) >= IN_FLIGHT_MAX):
            self.counts.rejected += 1
            send(self._forwarder.refuse(pending))
            return
        self._waiting_count += 1
        if waiting is not None:
            waiting.append((pending, send))
            return
        self._waiting[pending.key] = [(pending, send)]
        task = asyncio.get_running_loop().create_task(self._run(pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Wait for everything in flight."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, pending: PendingForward) -> None:
        reply = None
        try:
            reply = await self._ask_servers(pending)
        except Exception as error:  # noqa: BLE001 - one reply must not end all others
            record_error(error)
        finally:
            self._forwarder.learn(pending, reply)
            waiting = self._waiting.pop(pending.key)
            self._waiting_count -= len(waiting)
            for each, send in waiting:
                send(self._finished(each, reply))

    def _finished(self, pending: PendingForward, reply: UpstreamReply | None) -> bytes:
        try:
            return self._forwarder.finish(pending, reply)
        except Exception as error:  # noqa: BLE001 - one reply must not end all others
            record_error(error)
            return self._forwarder.finish(pending, None)

    async def _ask_servers(self, pending: PendingForward) -> UpstreamReply | None:
        loop = asyncio.get_running_loop()
        rotation = next(self._rotations) if self._rotate else 0
        servers = self._health.order(pending.servers, rotation, loop.time())
        tasks: set[asyncio.Task[UpstreamReply | None]] = set()
        second_best: UpstreamReply | None = None
        deadline_s = loop.time() + DEADLINE_S
        try:
            while servers or tasks:
                if servers:
                    tasks.add(loop.create_task(self._ask_server(servers.pop(0), pending)))
                timeout_s = deadline_s - loop.time()
                if servers:
                    timeout_s = min(timeout_s, HEDGE_S)
                if timeout_s <= 0:
                    break
                done, tasks = await asyncio.wait(
                    tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    reply = task.result()
                    if reply is not None and reply.is_final:
                        return reply
                    second_best = second_best or reply
        finally:
            for task in tasks:
                task.cancel()
        return second_best

    async def _ask_server(
        self, server: ServerAddress, pending: PendingForward
    ) -> UpstreamReply | None:
        self.counts.asked += 1
        query = upstream_query.write(pending, self._cookies.of(server), secrets.token_bytes)
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._over_udp(server, query)
                if reply is None:
                    reply = await _over_tcp(server, query)
                    self._cookies.learn(server, reply)
        except (OSError, TimeoutError, ReplyMismatch, asyncio.IncompleteReadError):
            self.counts.failed += 1
            self._health.failed(server, asyncio.get_running_loop().time())
            return None
        self._health.answered(server)
        return reply

    async def _over_udp(self, server: ServerAddress, query: UpstreamQuery) -> UpstreamReply | None:
        """Return the server's reply, or None if it must be asked over TCP."""
        loop = asyncio.get_running_loop()
        # Connected, so that the kernel drops packets from all other addresses.
        transport, exchange = await loop.create_datagram_endpoint(
            lambda: _UdpExchange(query), remote_addr=server
        )
        try:
            transport.sendto(query.message)
            reply = await exchange.reply
            if reply is None:
                return None
            self._cookies.learn(server, reply)
            return None if reply.truncated or reply.rcode == BADCOOKIE else reply
        finally:
            self.counts.forged += exchange.forged
            transport.close()


class _UdpExchange(asyncio.DatagramProtocol):
    """One query over UDP. Its reply is None when another packet came in place of the reply.

    The first packets that match no question are counted and ignored.
    """

    def __init__(self, query: UpstreamQuery) -> None:
        self._query = query
        self.reply: asyncio.Future[UpstreamReply | None]
        self.reply = asyncio.get_running_loop().create_future()
        self.forged = 0

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:  # noqa: ARG002
        """Take the reply."""
        if self.reply.done():
            return
        try:
            reply = self._query.read_reply(data)
        except ReplyMismatch:
            self.forged += 1
            if self.forged == FORGED_MAX:
                self.reply.set_result(None)
            return
        is_proven = self._query.is_proven(data, reply)
        self.forged += not is_proven
        self.reply.set_result(reply if is_proven else None)

    def error_received(self, exc: Exception) -> None:
        """Note that no server listens there."""
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _over_tcp(server: ServerAddress, query: UpstreamQuery) -> UpstreamReply:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(query.message).to_bytes(2, "big") + query.message)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return query.read_reply(await reader.readexactly(size))
    finally:
        writer.close()
