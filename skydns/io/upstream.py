"""Asking other servers: a fresh port and id for each question, UDP, then TCP where it is cut.

A server that says nothing for a moment is not waited for: the next is asked beside it, and the
first good reply counts. All of it ends within DEADLINE_S, before a stub resolver gives up.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from skydns.core.config import Address
from skydns.core.dns.query_parser import Query
from skydns.core.dns.rr import Rcode
from skydns.core.forward import message
from skydns.core.forward.forwarder import Errand, Relaying, Send
from skydns.core.forward.health import Health
from skydns.core.forward.message import Mismatch, Relayed

DEADLINE_S = 4.0
# Most replies of a near server come within a tenth of it.
HEDGE_S = 0.3
# Each holds a socket and about 10 kB.
UNDER_WAY_MAX = 512
WAITING_MAX = 4096
_CD = 0x0010


@dataclass(slots=True)
class UpstreamCounts:
    """What happened since the start."""

    asked: int = 0
    failed: int = 0
    turned_away: int = 0
    forged: int = 0


class Upstreams:
    """Runs errands. Those with one question share one look-up, which also ends every loop."""

    def __init__(self, relaying: Callable[[], Relaying]) -> None:
        self._relaying = relaying
        self._health = Health()
        self._turns = count()
        self._waiting: dict[bytes, list[tuple[Errand, Send]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_count = 0
        self.counts = UpstreamCounts()
        self.rotate = True
        self.timeout_s = 2.0

    def go(self, errand: Errand, send: Send) -> None:
        """Get what the errand needs and send its reply."""
        waiting = self._waiting.get(errand.key)
        full = self._waiting_count >= WAITING_MAX
        if full or (waiting is None and len(self._waiting) >= UNDER_WAY_MAX):
            self.counts.turned_away += 1
            send(self._relaying().refuse(errand))
            return
        self._waiting_count += 1
        if waiting is not None:
            waiting.append((errand, send))
            return
        self._waiting[errand.key] = [(errand, send)]
        task = asyncio.get_running_loop().create_task(self._run(errand))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, errand: Errand) -> None:
        relayed = None
        try:
            relayed = await self._ask(errand)
        finally:
            relaying = self._relaying()
            relaying.learn(errand, relayed)
            waiting = self._waiting.pop(errand.key)
            self._waiting_count -= len(waiting)
            for each, send in waiting:
                send(relaying.finish(each, relayed))

    async def _ask(self, errand: Errand) -> Relayed | None:
        loop = asyncio.get_running_loop()
        turn = next(self._turns) if self.rotate else 0
        servers = self._health.order(errand.servers, turn, loop.time())
        tasks: set[asyncio.Task[Relayed | None]] = set()
        second_best: Relayed | None = None
        ends_s = loop.time() + DEADLINE_S
        try:
            while servers or tasks:
                if servers:
                    tasks.add(loop.create_task(self._ask_one(servers.pop(0), errand)))
                patience_s = ends_s - loop.time()
                if servers:
                    patience_s = min(patience_s, HEDGE_S)
                if patience_s <= 0:
                    break
                done, tasks = await asyncio.wait(
                    tasks, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    relayed = task.result()
                    if relayed is not None and relayed.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
                        return relayed
                    second_best = second_best or relayed
        finally:
            for task in tasks:
                task.cancel()
        return second_best

    async def _ask_one(self, server: Address, errand: Errand) -> Relayed | None:
        self.counts.asked += 1
        asked = _Asked(errand)
        try:
            async with asyncio.timeout(self.timeout_s):
                relayed = await self._over_udp(server, asked)
                if relayed.cut:
                    relayed = await _over_tcp(server, asked)
        except (OSError, TimeoutError, Mismatch, asyncio.IncompleteReadError):
            self.counts.failed += 1
            self._health.failed(server, asyncio.get_running_loop().time())
            return None
        self._health.answered(server)
        return relayed

    async def _over_udp(self, server: Address, asked: "_Asked") -> Relayed:
        loop = asyncio.get_running_loop()
        # Connected, so that the kernel passes on what comes from this server alone.
        transport, exchange = await loop.create_datagram_endpoint(
            lambda: _Exchange(asked), remote_addr=server
        )
        try:
            transport.sendto(asked.message)
            return await exchange.reply
        finally:
            self.counts.forged += exchange.forged
            transport.close()


class _Asked:
    """One query as it is sent."""

    def __init__(self, errand: Errand) -> None:
        self.number = secrets.randbelow(1 << 16)
        self._question = message.question_bytes(errand.question)
        query: Query = errand.query
        self.message = message.asking(
            self.number,
            self._question,
            do=query.edns is not None and query.edns.do,
            cd=bool(query.flags & _CD),
            hop=errand.hop,
        )

    def read(self, data: bytes) -> Relayed:
        """Read the reply to it; Mismatch for anything else."""
        return message.read(data, self.number, self._question)


class _Exchange(asyncio.DatagramProtocol):
    """One question over UDP; what does not fit it is not heard."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self.reply: asyncio.Future[Relayed] = asyncio.get_running_loop().create_future()
        self.forged = 0

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:  # noqa: ARG002
        """Take the reply."""
        try:
            relayed = self._asked.read(data)
        except Mismatch:
            self.forged += 1
            return
        if not self.reply.done():
            self.reply.set_result(relayed)

    def error_received(self, exc: Exception) -> None:
        """Hear that nobody listens there."""
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _over_tcp(server: Address, asked: _Asked) -> Relayed:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(asked.message).to_bytes(2, "big") + asked.message)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return asked.read(await reader.readexactly(size))
    finally:
        writer.close()
