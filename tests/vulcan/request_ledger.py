"""Sends requests with unique ids at a constant rate, and compares what clients and servers saw.

Only these failures are excused:
- no response, while the worker that had the connection was killed;
- 502 for a POST, while its server was cut off, because a POST must not be sent again;
- 503 from the server itself, which it sends for one id in SCRIPTED_EVERY.
"""

import asyncio
import contextlib
import http.client
import itertools
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from rig.vulcan_site import OK, Call, Client

CLIENTS = 8
# Of one client; all together send a hundred requests a second.
EVERY_S = 0.08
SCRIPTED_EVERY = 97
# One in so many is slow at the server, so that faults hit requests in flight.
SLOW_EVERY, SLOW_S = 5, 0.1
_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nscripted"


@dataclass(frozen=True, slots=True)
class SentRequest:
    """One request; `status` is 0 when no response came, and `error` says why."""

    id: int
    method: str
    began_s: float
    ended_s: float
    status: int
    error: str = ""

    @property
    def scripted(self) -> bool:
        """Whether the server is told to refuse it."""
        return self.id % SCRIPTED_EVERY == 0


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A killed worker or a server that was cut off, from begin to end."""

    kind: str
    began_s: float
    ended_s: float

    def meets(self, sent: SentRequest) -> bool:
        """Whether the request was in flight during the fault."""
        return sent.began_s <= self.ended_s and sent.ended_s >= self.began_s


@dataclass
class RequestLedger:
    """The requests that the servers saw, and the faults that were injected."""

    seen: Counter[int] = field(default_factory=Counter)
    faults: list[InjectedFault] = field(default_factory=list)

    async def note(self, call: Call) -> None:
        """Serve and record a request; the script of every server."""
        await call.body()
        number = int(call.head.split(b" ")[1].removeprefix(b"/"))
        if number:
            self.seen[number] += 1
        if number % SLOW_EVERY == 1:
            await asyncio.sleep(SLOW_S)
        await call.send(_REFUSED if number and number % SCRIPTED_EVERY == 0 else OK)

    @contextlib.contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        """Record the block as a fault."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.faults.append(InjectedFault(kind, began_s, time.monotonic()))


def judge(
    sent: Iterable[SentRequest], seen: Mapping[int, int], faults: Iterable[InjectedFault]
) -> tuple[Counter[str], list[str]]:
    """Return a count of each outcome, and the requests that went wrong."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    known = tuple(faults)
    for one in sent:
        kind = _kind(one, seen.get(one.id, 0), known)
        counts[kind] += 1
        if kind.startswith("wrong"):
            wrong.append(f"{kind}: {one} seen={seen.get(one.id, 0)}")
    return counts, wrong


def _kind(one: SentRequest, times: int, faults: tuple[InjectedFault, ...]) -> str:
    met = {fault.kind for fault in faults if fault.meets(one)}
    if one.method == "POST" and times > 1:
        return "wrong: a POST twice"
    if one.status == 0:
        return "lost with its worker" if "worker" in met else "wrong: no answer"
    if one.status == 502 and one.method == "POST" and "server" in met:
        return "lost with its server"
    if one.status != (503 if one.scripted else 200):
        return "wrong: status"
    if times == 0:
        return "wrong: no server saw it"
    return f"{one.method} {one.status}" + (" after a retry" if times > 1 else "")


class LoadGenerator:
    """Sends requests from several clients; half of them keep their connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self.sent: list[SentRequest] = []
        self._threads = [
            threading.Thread(target=self._send_requests, args=(number,))
            for number in range(CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _send_requests(self, number: int) -> None:
        keeps = number % 2 == 0
        client: Client | None = None
        due_s = time.monotonic() + EVERY_S * number / CLIENTS
        while not self._end.wait(max(0.0, due_s - time.monotonic())):
            due_s += EVERY_S
            with self._lock:
                id_ = next(self._ids)
            if client is not None and ended(client.sock):
                client.close()
                client = None
            client = self._ask(id_, client, keeps=keeps)
        if client is not None:
            client.close()

    def _ask(self, id_: int, client: Client | None, *, keeps: bool) -> Client | None:
        """Send one request; return the connection if it can be used again."""
        method = "POST" if id_ % 2 else "GET"
        began_s, status, error = time.monotonic(), 0, ""
        try:
            client = client or Client(self._port)
            head = f"{method} /{id_} HTTP/1.1\nHost: h" + ("" if keeps else "\nConnection: close")
            if method == "POST":
                answer = client.request(f"{head}\nContent-Length: 3", b"abc")
            else:
                answer = client.request(head)
            status = answer.status if answer.whole else 0
            keeps = keeps and answer.headers["Connection"] != "close"
        except (OSError, http.client.HTTPException) as failure:
            error = repr(failure)
        sent = SentRequest(id_, method, began_s, time.monotonic(), status, error)
        self.sent.append(sent)
        if client is not None and not (keeps and status):
            client.close()
            client = None
        return client


def ended(sock: socket.socket) -> bool:
    """Whether the other side has closed an idle connection."""
    readable, _, _ = select.select([sock], [], [], 0)
    try:
        return bool(readable) and sock.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True
