"""Following a prefix over HTTP: one stream of our coordinator, chained long polls of etcd.

etcd's own streams are not used: they replay one past event only, and drop a slow reader's
events without a word. A long poll asks for the first event at or after an index, so that
nothing is lost between two of them while the server's history reaches back far enough.

A silent poll proves nothing: an event may be lost with its connection. So only events move a
poll's index on, and a server where others write much will answer one day that the history is
cleared. That costs a listing; to believe the silence would cost a change.
"""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import assert_never

import requests

from coordinator.client.core import key_paths
from coordinator.client.core.endpoint import Endpoint, Kind
from coordinator.client.core.errors import HistoryCleared, Unavailable
from coordinator.client.core.store_protocol import Event, Progress
from coordinator.client.core.v2_responses import Lines
from coordinator.client.http.endpoint_pool import Endpoints, cluster_of, decode, index_of
from coordinator.client.http.http_client import EndpointFailed, Request, chunks, hang_up, read

PROGRESS_S = 10
# Three missed marks are a dead connection; etcd's polls get as long, having no marks.
SILENCE_S = 3.0 * PROGRESS_S
# A poll that ends empty at once, as those of a stopping server do, must not become a hot loop.
EMPTY_PAUSE_S = 0.1
# A follower may lag behind the index its client got from the leader; a restored store stays so.
LAG_PAUSE_S = 0.1
LAG_PAUSES_MAX = 10

_Opened = tuple[Endpoint, Kind, requests.Response]


class Tail:
    """Changes of one prefix after an index, for one thread; `interrupt` is for the others."""

    def __init__(self, endpoints: Endpoints, prefix: str, after: int, cluster: str) -> None:
        self._endpoints = endpoints
        self._prefix = prefix
        self._after = after
        self._cluster = cluster
        self._interrupted = threading.Event()
        self._response: requests.Response | None = None

    def changes(self) -> Iterator[Event | Progress]:
        """Yield what happens until interrupted; HistoryCleared, Unavailable and the like."""
        endpoint, kind, response = self._open()
        yield Progress(self._after)
        while not self._interrupted.is_set():
            try:
                match kind:
                    case Kind.COORDINATOR:
                        yield from self._stream(response)
                    case Kind.ETCD | Kind.ETCD3:
                        yield from self._poll(response)
                    case _:
                        assert_never(kind)
            except EndpointFailed as failure:
                self._endpoints.distrust(endpoint)
                raise Unavailable(f"watch {self._prefix}: {endpoint} {failure}") from failure
            endpoint, kind, response = self._open()

    def interrupt(self) -> None:
        """End `changes` from another thread, also where it waits for the network."""
        self._interrupted.set()
        if (response := self._response) is not None:
            hang_up(response)

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

    def _send(self, endpoint: Endpoint, kind: Kind) -> _Opened:
        response = self._endpoints.send(endpoint, kind, self._request(), SILENCE_S)
        cluster = cluster_of(response)
        self._cluster = self._cluster or cluster
        if cluster not in ("", self._cluster):
            response.close()
            raise HistoryCleared(
                f"watch {self._prefix}: {endpoint} is of cluster {cluster}, not {self._cluster}"
            )
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise decode(read(response)).error(f"watch {self._prefix}")
        return endpoint, kind, response

    def _request(self) -> Request:
        return Request(
            "GET",
            key_paths.url_path(self._prefix),
            {"wait": "true", "recursive": "true", "waitIndex": str(self._after + 1)},
            extensions={"stream": "true", "hidden": "true", "progress": str(PROGRESS_S)},
        )

    def _stream(self, response: requests.Response) -> Iterator[Event | Progress]:
        lines = Lines()
        for chunk in chunks(response):
            for line in lines.feed(chunk):
                yield from self._move(line, hidden=True)
        raise EndpointFailed("ended the stream", seen=True)

    def _poll(self, response: requests.Response) -> Iterator[Event | Progress]:
        try:
            body = read(response)
        except EndpointFailed:
            body = b""  # silent or cut: the next poll finds out which
        for line in body.splitlines():
            yield from self._move(line, hidden=False)
        if not body:
            yield Progress(self._after)
            self._interrupted.wait(EMPTY_PAUSE_S)

    def _move(self, line: bytes, *, hidden: bool) -> Iterator[Event | Progress]:
        answer = decode(line)
        if answer.error_code:
            raise answer.error(f"watch {self._prefix}")
        change = answer.change(self._prefix, hidden=hidden)
        if isinstance(change, Event) and change.index <= self._after:
            return  # told before
        if change.index < self._after:
            raise HistoryCleared(
                f"watch {self._prefix}: the index went back from {self._after} to {change.index}"
            )
        self._after = change.index
        yield change
