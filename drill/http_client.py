"""Send HTTP requests at a fixed rate to a name that the client resolves itself.

`python -m drill.http_client RATE URL NAMESERVER...` runs until SIGTERM, then prints its results.

Each request starts at its time, whatever happened to earlier ones. Half of the requests open a new
connection; the others reuse an open one, as HTTP libraries do. Beyond that, the client does two
things that libraries do by themselves, and counts them:

- if an address does not accept the connection within 3 s, it tries the name's next address;
- if a reused connection ends before the first byte of an answer, it was closed while idle, and a
  GET is sent once more on a new connection (RFC 9112, 9.3.1).

Everything else is a failure: a wrong answer, an incomplete answer, or none within 30 s.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import uvloop

from drill.core.observations import Requests
from drill.resolver import Resolver, Unresolved

CONNECT_S, ANSWER_S = 3.0, 30.0
# Requests that are due start together: a timer for each would cost more than the request.
TICK_S = 0.01
# With more requests open, a client only measures itself.
UNDER_WAY_MAX = 2000
KEPT_MAX = 16
SHOWN_MAX = 20
HEAD_BYTES_MAX = 16384

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Wrong(Exception):  # noqa: N818 - what a client meets
    """The answer is not the expected one."""


class Stale(Exception):  # noqa: N818 - what a client meets
    """The server had closed a reused connection."""


@dataclass(slots=True)
class Client:
    """An HTTP client: its resolver, its open connections, and its measurements."""

    name: str
    port: int
    resolver: Resolver
    kept: deque[Streams] = field(default_factory=deque)
    rotation: int = 0
    sent: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    longest: tuple[float, float] = (0.0, 0.0)

    async def request(self, number: int, began_s: float, *, keep: bool) -> None:
        """Send one request, which was due at `began_s`, and record its outcome."""
        self.sent += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._get(f"/{number}", keep=keep)
        except (OSError, EOFError, Wrong, Unresolved, ValueError) as error:
            kind = "kept" if keep else "fresh"
            self.failures.append(f"{began_s:.3f} {kind} {type(error).__name__}: {error}"[:200])
            return
        latency_ms = (time.monotonic() - began_s) * 1000
        self.latencies_ms.append(latency_ms)
        self.longest = max(self.longest, (latency_ms, began_s))

    def close(self) -> None:
        """Close the open connections."""
        while self.kept:
            self.kept.pop()[1].close()

    async def _get(self, path: str, *, keep: bool) -> None:
        if keep and self.kept:
            streams = self.kept.popleft()
            try:
                await self._ask(streams, path, keep=True)
            except Stale:
                self.counted["resent"] += 1
            else:
                return
        streams = await self._connect()
        try:
            await self._ask(streams, path, keep=keep)
        except Stale as stale:
            raise Wrong("the connection ended without an answer") from stale

    async def _connect(self) -> Streams:
        found = await self.resolver.addresses(self.name)
        self.rotation += 1
        first = self.rotation % len(found)
        for address in found[first:] + found[:first]:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(address, self.port)
            except OSError:
                self.counted["next address"] += 1
        raise Wrong(f"none of {', '.join(found)} accepts a connection")

    async def _ask(self, streams: Streams, path: str, *, keep: bool) -> None:
        reader, writer = streams
        close = "" if keep else "Connection: close\r\n"
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.name}\r\n{close}\r\n".encode())
            stays = await _answer(reader, path)
        except BaseException:
            writer.close()
            raise
        if keep and stays and len(self.kept) < KEPT_MAX:
            self.kept.append(streams)
        else:
            writer.close()
            with contextlib.suppress(OSError):  # the answer is complete
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, path: str) -> bool:
    """Read the expected answer; return whether the connection stays open."""
    try:
        first = await reader.readexactly(1)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Stale from error
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    body = await reader.readexactly(int(fields["content-length"]))
    if " 200 " not in status or not body.endswith(f" {path}\n".encode()):
        raise Wrong(f"{status}: {body[:80]!r}")
    return fields.get("connection") != "close"


async def load(rate: float, url: str, nameservers: list[str]) -> Requests:
    """Send requests until SIGTERM."""
    parts = urlsplit(url)
    clients = [
        Client(parts.hostname or "", parts.port or 80, Resolver(nameservers)) for _ in range(2)
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    began_s, number, behind_s = time.monotonic(), 0, 0.0
    under_way: set[asyncio.Task[None]] = set()
    print("begun", flush=True)
    while not stop.is_set():
        await asyncio.sleep(TICK_S)
        while (due_s := began_s + number / rate) <= time.monotonic():
            number += 1
            behind_s = max(behind_s, time.monotonic() - due_s)
            if len(under_way) < UNDER_WAY_MAX:
                client = clients[number % 2]
                task = asyncio.create_task(client.request(number, due_s, keep=number % 2 == 0))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
    seconds = time.monotonic() - began_s
    await asyncio.gather(*under_way)
    for client in clients:
        client.close()
    return _summed(clients, seconds, behind_s)


def _summed(clients: list[Client], seconds: float, behind_s: float) -> Requests:
    latencies_ms = sorted(ms for client in clients for ms in client.latencies_ms)
    counted = sum((client.counted for client in clients), Counter[str]())
    failures = sorted(each for client in clients for each in client.failures)
    longest_ms, longest_at_s = max(client.longest for client in clients)
    return Requests(
        seconds=seconds,
        sent=sum(client.sent for client in clients),
        failed=len(failures),
        failures=tuple(failures[:SHOWN_MAX]),
        resent=counted["resent"],
        next_address=counted["next address"],
        median_ms=latencies_ms[len(latencies_ms) // 2] if latencies_ms else 0.0,
        p99_ms=latencies_ms[len(latencies_ms) * 99 // 100] if latencies_ms else 0.0,
        longest_ms=longest_ms,
        longest_at_s=longest_at_s,
        behind_ms=behind_s * 1000,
    )


if __name__ == "__main__":
    seen = uvloop.run(load(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
    print(msgspec.json.encode(seen).decode())
