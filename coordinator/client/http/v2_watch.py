"""Follows a prefix on the v2 API: by one stream of our coordinator, by long polls of etcd.

etcd's own streams are not used. They replay only one past event, and they drop the events of a
slow reader without an error. A long poll asks for the first event at or after an index, so nothing
is lost between two polls while the server's history reaches back far enough.

A silent poll proves nothing: an event may be lost together with its connection. So only events
move a poll's index on. Where others write much, the server will at some time answer that the
history is cleared, which costs a new listing. To trust the silence instead could lose a change.
"""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import assert_never

from coordinator.client.core import key_paths
from coordinator.client.core.endpoint import Endpoint, ServerKind
from coordinator.client.core.errors import HistoryCleared, Unavailable
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.core.json_lines import LineSplitter
from coordinator.client.core.store_protocol import Event, Progress
from coordinator.client.http.endpoint_pool import EndpointPool, cluster_of, decode, index_of
from coordinator.client.http.http_client import OpenResponse

PROGRESS_S = 3
# Three missed marks mean that the store is away. Daemons promise to know that within 10 s.
SILENCE_S = 3.0 * PROGRESS_S
# etcd's polls have no marks. One that is silent for this long is asked again, and the headers of
# the next one must come within the same time.
POLL_S = 4.0
# A stopping server ends its polls at once and empty. That must not become a busy loop.
EMPTY_PAUSE_S = 0.1
# A follower may lag behind the index that its client got from the leader. A restored store stays
# behind.
LAG_PAUSE_S = 0.1
LAG_PAUSES_MAX = 10

_Opened = tuple[Endpoint, ServerKind, OpenResponse]


class V2ChangeStream:
    """Changes of one prefix after an index. One thread iterates; any thread may interrupt."""

    def __init__(self, endpoints: EndpointPool, prefix: str, after: int, cluster: str) -> None:
        self._endpoints = endpoints
        self._prefix = prefix
        self._after = after
        self._cluster = cluster
        self._interrupted = threading.Event()
        self._response: OpenResponse | None = None
        self._is_confirmed = False

    def changes(self) -> Iterator[Event | Progress]:
        """Yield Progress(after), then each change, blocking. Ends with a StoreError."""
        while not self._interrupted.is_set():
            endpoint, kind, response = self._open()
            if not self._is_confirmed:
                self._is_confirmed = True
                yield Progress(self._after)
            try:
                match kind:
                    case ServerKind.COORDINATOR:
                        yield from self._stream(response)
                    case ServerKind.ETCD | ServerKind.ETCD3:
                        yield from self._poll(response)
                    case _:
                        assert_never(kind)
            except EndpointFailed as failure:
                self._endpoints.mark_failed(endpoint)
                raise Unavailable(f"watch {self._prefix}: {endpoint} {failure}") from failure

    def interrupt(self) -> None:
        """End `changes` from another thread, also where it waits for the network."""
        self._interrupted.set()
        if (response := self._response) is not None:
            response.interrupt()

    def _open(self) -> _Opened:
        for _ in range(LAG_PAUSES_MAX):
            endpoint, kind, response = self._endpoints.attempt(self._send, self._request())
            self._response = response
            if self._interrupted.is_set():
                response.close()
                raise Unavailable(f"watch {self._prefix} is closed")
            index = index_of(response)
            if index is None or index >= self._after:
                return endpoint, kind, response
            response.close()
            self._interrupted.wait(LAG_PAUSE_S)
        raise HistoryCleared(f"watch {self._prefix}: the store is behind index {self._after}")

    def _send(self, endpoint: Endpoint, kind: ServerKind) -> _Opened:
        silence_s = SILENCE_S if kind is ServerKind.COORDINATOR else POLL_S
        response = self._endpoints.send(endpoint, kind, self._request(), silence_s)
        cluster = cluster_of(response)
        self._cluster = self._cluster or cluster
        if cluster not in ("", self._cluster):
            response.close()
            raise HistoryCleared(
                f"watch {self._prefix}: {endpoint} is of cluster {cluster}, not {self._cluster}"
            )
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise decode(response.read()).error(f"watch {self._prefix}")
        return endpoint, kind, response

    def _request(self) -> HttpRequest:
        return HttpRequest(
            "GET",
            key_paths.url_path(self._prefix),
            {"wait": "true", "recursive": "true", "waitIndex": str(self._after + 1)},
            extensions={"stream": "true", "hidden": "true", "progress": str(PROGRESS_S)},
        )

    def _stream(self, response: OpenResponse) -> Iterator[Event | Progress]:
        lines = LineSplitter()
        for chunk in response.chunks():
            for line in lines.feed(chunk):
                yield from self._move(line, hidden=True)
            if response.is_outdated():
                # The server ends a connection with the certificate that it began with.
                response.close()
                return
        raise EndpointFailed("ended the stream", seen=True)

    def _poll(self, response: OpenResponse) -> Iterator[Event | Progress]:
        try:
            body = response.read()
        except EndpointFailed:
            body = b""  # silent or cut off: the headers of the next poll tell
        for line in body.splitlines():
            yield from self._move(line, hidden=False)
        if not body:
            self._is_confirmed = False
            self._interrupted.wait(EMPTY_PAUSE_S)

    def _move(self, line: bytes, *, hidden: bool) -> Iterator[Event | Progress]:
        response = decode(line)
        if response.error_code:
            raise response.error(f"watch {self._prefix}")
        change = response.change(self._prefix, hidden=hidden)
        if isinstance(change, Event) and change.index <= self._after:
            return  # yielded before
        if change.index < self._after:
            raise HistoryCleared(
                f"watch {self._prefix}: the index went back from {self._after} to {change.index}"
            )
        self._after = change.index
        yield change
