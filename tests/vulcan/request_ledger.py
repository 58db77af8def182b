"""Requests with unique ids at a constant rate, what their servers saw of them, and a judge.

A request is excused when what was done on purpose explains it, and nothing else does:
- no answer, while the worker that had its connection was killed;
- 502 for a POST, while the server that had it was cut off: nobody may send it again;
- 503 where the server itself says so, for one id in SCRIPTED_EVERY.
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

LANES = 8
# Of one lane; all together ask a hundred times a second.
EVERY_S = 0.08
SCRIPTED_EVERY = 97
# One in so many takes its time at the server, so that what is done to it meets requests.
SLOW_EVERY, SLOW_S = 5, 0.1
_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nscripted"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `status` is 0 when no answer came, and `error` says how that looked."""

    id: int
    method: str
    began_s: float
    ended_s: float
    status: int
    error: str = ""

    @property
    def scripted(self) -> bool:
        """Whether the server is meant to refuse it."""
        return self.id % SCRIPTED_EVERY == 0


@dataclass(frozen=True, slots=True)
class Harm:
    """A worker killed, or a server cut off: begun and over at these times."""

    kind: str
    began_s: float
    ended_s: float

    def meets(self, asked: Asked) -> bool:
        """Whether the request was under way when it was done."""
        return asked.began_s <= self.ended_s and asked.ended_s >= self.began_s


@dataclass
class Book:
    """What the servers saw, and what was done to them and the proxy."""

    seen: Counter[int] = field(default_factory=Counter)
    harms: list[Harm] = field(default_factory=list)

    async def note(self, call: Call) -> None:
        """Serve a request: the script of every server."""
        await call.body()
        number = int(call.head.split(b" ")[1].removeprefix(b"/"))
        if number:
            self.seen[number] += 1
        if number % SLOW_EVERY == 1:
            await asyncio.sleep(SLOW_S)
        await call.say(_REFUSED if number and number % SCRIPTED_EVERY == 0 else OK)

    @contextlib.contextmanager
    def harm(self, kind: str) -> Iterator[None]:
        """Note what is done in the block."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.harms.append(Harm(kind, began_s, time.monotonic()))


def judge(
    asked: Iterable[Asked], seen: Mapping[int, int], harms: Iterable[Harm]
) -> tuple[Counter[str], list[str]]:
    """Return how often what happened, and what must not have happened."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    known = tuple(harms)
    for one in asked:
        kind = _kind(one, seen.get(one.id, 0), known)
        counts[kind] += 1
        if kind.startswith("wrong"):
            wrong.append(f"{kind}: {one} seen={seen.get(one.id, 0)}")
    return counts, wrong


def _kind(one: Asked, times: int, harms: tuple[Harm, ...]) -> str:
    met = {harm.kind for harm in harms if harm.meets(one)}
    if one.method == "POST" and times > 1:
        return "wrong: a POST twice"
    if one.status == 0:
        return "lost with its worker" if "worker" in met else "wrong: no answer"
    if one.status == 502 and one.method == "POST" and "server" in met:
        return "lost with its server"
    if one.status != (503 if one.scripted else 200):
        return "wrong: status"
    if times == 0:
        return "wrong: nobody saw it"
    return f"{one.method} {one.status}" + (" after a second try" if times > 1 else "")


class Load:
    """Asks from several lanes: half of them keep their connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self._lanes = [
            threading.Thread(target=self._lane, args=(number,)) for number in range(LANES)
        ]

    def __enter__(self) -> Self:
        for lane in self._lanes:
            lane.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for lane in self._lanes:
            lane.join(60)

    def _lane(self, number: int) -> None:
        keeps = number % 2 == 0
        client: Client | None = None
        due_s = time.monotonic() + EVERY_S * number / LANES
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
        """Ask once; return the connection when it is to be used again."""
        method = "POST" if id_ % 2 else "GET"
        began_s, status, error = time.monotonic(), 0, ""
        try:
            client = client or Client(self._port)
            head = f"{method} /{id_} HTTP/1.1\nHost: h" + ("" if keeps else "\nConnection: close")
            if method == "POST":
                answer = client.ask(f"{head}\nContent-Length: 3", b"abc")
            else:
                answer = client.ask(head)
            status = answer.status if answer.whole else 0
            keeps = keeps and answer.headers["Connection"] != "close"
        except (OSError, http.client.HTTPException) as failure:
            error = repr(failure)
        asked = Asked(id_, method, began_s, time.monotonic(), status, error)
        self.asked.append(asked)
        if client is not None and not (keeps and status):
            client.close()
            client = None
        return client


def ended(sock: socket.socket) -> bool:
    """Whether the other side has closed a connection on which nothing is awaited."""
    readable, _, _ = select.select([sock], [], [], 0)
    try:
        return bool(readable) and sock.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True
