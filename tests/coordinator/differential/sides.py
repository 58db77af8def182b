"""What is compared: the key space in this process, and servers behind a socket."""

import contextlib
import http.client
import json
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self, assert_never
from urllib.parse import urlsplit

import httptools
import msgspec

from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import NO_TTL, Note, Sync
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.event_history import HistoryBounds
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.watcher_hub import Watcher
from coordinator.core.v2api import keys_api
from coordinator.core.v2api.keys_api import (
    GetRequest,
    NotAllowed,
    NotFound,
    WatchRequest,
    WriteRequest,
)
from coordinator.core.v2api.request_target import BadTarget, Redirect
from rig.processes import wait_until
from tests.coordinator.differential.traffic import Request

ANSWER_S = 20.0
# What etcd keeps.
ETCD_HISTORY = HistoryBounds(slots=1000)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the headers that mean something here, the body."""

    status: int
    headers: dict[str, str]
    body: bytes


class InProcess:
    """Our implementation without a server: parse, apply, render. It keeps every event."""

    def __init__(self, index: int) -> None:
        self.space = KeySpace(ETCD_HISTORY)
        self.events: list[KeyEvent] = []
        for _ in range(index):
            self.space.apply(Note("before", b""))

    def ask(self, request: Request) -> Answer | WatchRequest:
        """Answer; a request to watch is handed back."""
        now_ns = time.time_ns()
        method = request.method.encode()
        try:
            parsed = keys_api.parse(
                method, request.target, request.body, request.content_type, now_ns
            )
            match parsed:
                case WatchRequest():
                    return parsed
                case GetRequest():
                    body = keys_api.read(self.space, parsed, Moment(now_ns))
                    assert body is not None, "few keys make no long listing"
                    return self._json(200, self.space.index, body)
                case WriteRequest():
                    return self._write(parsed, now_ns)
                case Redirect():
                    location = {"location": parsed.location.decode()}
                    return self._plain(301, parsed.content_type, parsed.body, location)
                case BadTarget():
                    return self._plain(400, parsed.content_type, parsed.body)
                case NotFound():
                    return self._plain(404, parsed.content_type, parsed.body)
                case NotAllowed():
                    allow = {"allow": parsed.allow.decode()}
                    return self._plain(405, parsed.content_type, parsed.body, allow)
                case _:
                    assert_never(parsed)
        except ApiError as refusal:
            return self._json(refusal.status, refusal.index, refusal.body())

    def watch(self, request: WatchRequest) -> Watcher | Answer:
        try:
            after = request.after(self.space.index)
            return self.space.hub.watch(request.watch_filter, after, lambda: None)
        except ApiError as refusal:
            return self._json(refusal.status, refusal.index, refusal.body())

    def expire(self) -> int:
        """Expire all keys with a short TTL; return how many keys have ever expired."""
        first = self.space.index + 1
        self.space.apply(Sync(time.time_ns() + 100 * 10**9))
        kept = (self.space.history.at(index) for index in range(first, self.space.index + 1))
        self.events += [event for event in kept if event is not None]
        return self.space.stats.expired

    def _write(self, write: WriteRequest, now_ns: int) -> Answer:
        command = write.command
        if write.ttl_ns != NO_TTL:
            command = msgspec.structs.replace(command, expires_ns=now_ns + write.ttl_ns)
        event = self.space.apply(command)
        assert event is not None
        self.events.append(event)
        body = keys_api.written(event, Moment(now_ns), no_value=write.no_value)
        return self._json(keys_api.status_of(event), self.space.index, body)

    def _json(self, status: int, index: int, body: bytes) -> Answer:
        headers = {"content-type": "application/json", "x-etcd-index": str(index)}
        return Answer(status, headers, body)

    def _plain(
        self, status: int, content_type: bytes, body: bytes, more: dict[str, str] | None = None
    ) -> Answer:
        headers = {"content-type": content_type.decode()} if content_type else {}
        return Answer(status, {**headers, **(more or {})}, body)


class Server:
    """A server of the v2 API, asked in raw bytes so that nothing tidies them up."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._address = (str(address.hostname), int(address.port or 0))
        self._socket: socket.socket | None = None

    def ask(self, request: Request) -> Answer:
        """Send a request on the kept connection and read its whole answer."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, ANSWER_S)
        self._socket.sendall(request.wire())
        reply = http.client.HTTPResponse(self._socket, method=request.method)
        reply.begin()
        body = reply.read()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        if reply.will_close:
            self.close()
        reply.close()
        return Answer(reply.status, headers, body)

    def watch(self, request: Request) -> "WatchConnection":
        return WatchConnection(socket.create_connection(self._address, ANSWER_S), request)

    def index(self) -> int:
        return int(self.ask(Request("GET", b"/v2/keys/")).headers["x-etcd-index"])

    def stats(self) -> dict[str, int]:
        counters: dict[str, int] = json.loads(self.ask(Request("GET", b"/v2/stats/store")).body)
        return counters

    def wait_for_expired(self, count: int) -> None:
        wait_until(lambda: self.stats()["expireCount"] >= count, "the keys ended", ANSWER_S)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


class WatchConnection:
    """A watch on its own connection, read without blocking past what is there."""

    def __init__(self, sock: socket.socket, request: Request) -> None:
        self._socket = sock
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.headers: dict[str, str] = {}
        self.began = False
        self.ended = False
        sock.sendall(request.wire())
        # Registered: both servers send the headers when the watcher stands.
        while not self.began:
            self._feed()

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    def read_to_end(self) -> bytes:
        while not self.ended:
            self._feed()
        return self._body

    def lines(self, count: int, *, ends: bool) -> list[bytes]:
        """Return `count` events, to the end where one is due, and what else has arrived."""
        # What does not come in time is missing in what is returned.
        with contextlib.suppress(TimeoutError):
            while not self.ended and (ends or self._body.count(b"\n") < count):
                self._feed()
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while not self.ended:
                self._feed()
        return self._body.splitlines(keepends=True)

    def close(self) -> None:
        self._socket.close()

    def _feed(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            self.ended = True
            self.began = True
            return
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.began = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.ended = True
