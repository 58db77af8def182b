"""Follows a prefix on etcd's v3 API: one watch, whose events are counted by revision.

etcd sends a progress mark to an idle watch every ten minutes, which is too seldom to tell an idle
connection from a dead one, and the gateway does not let a client ask for a mark. So a watch that
is silent for SILENCE_S is opened again from where it is; the server's confirmation is the sign of
life. Changes outside the prefix do not move such a watch on, so one day a compaction may pass its
revision. That costs a new listing. To trust the silence instead could lose a change.
"""

import threading
from collections.abc import Iterator

from coordinator.client.core import v3_events, v3_requests, v3_responses
from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.errors import HistoryCleared, Unauthorized, Unavailable
from coordinator.client.core.http_request import EndpointFailed, EndpointSilent, HttpRequest
from coordinator.client.core.json_lines import LineSplitter, MalformedResponse
from coordinator.client.core.store_protocol import Event, Progress
from coordinator.client.http.http_client import OpenResponse
from coordinator.client.v3.gateway import Gateway

# The server must confirm within the same time, and daemons promise to know within 10 s that the
# store is away.
SILENCE_S = 4.0
# A member that lost its leader, for example one that is cut off from the others, ends its watches.
HEADERS = {"Grpc-Metadata-Hasleader": "true"}
# A follower may lag behind the index that its client got from the leader. A restored store stays
# behind.
LAG_PAUSE_S = 0.1
LAG_PAUSES_MAX = 10
# A fresh token that the server refuses will not get better.
RENEWALS_MAX = 2


class V3ChangeStream:
    """Changes of one prefix after an index. One thread iterates; any thread may interrupt."""

    def __init__(self, gateway: Gateway, prefix: str, after: int, cluster: str) -> None:
        self._gateway = gateway
        self._prefix = prefix
        self._after = after
        self._cluster = cluster
        self._is_whole = True
        self._lags = 0
        self._renewals = 0
        self._interrupted = threading.Event()
        self._response: OpenResponse | None = None

    def changes(self) -> Iterator[Event | Progress]:
        """Open the watch, yield Progress(after), then each change, blocking."""
        while not self._interrupted.is_set():
            endpoint, response = self._open()
            try:
                yield from self._follow(endpoint, response)
            except EndpointSilent as silence:
                if not self._is_whole:
                    raise self._ended(endpoint, silence) from silence
            except EndpointFailed as failure:
                self._gateway.endpoints.mark_failed(endpoint)
                raise self._ended(endpoint, failure) from failure

    def interrupt(self) -> None:
        """End `changes` from another thread, also where it waits for the network."""
        self._interrupted.set()
        if (response := self._response) is not None:
            response.interrupt()

    def _open(self) -> tuple[Endpoint, OpenResponse]:
        body = v3_responses.encode(v3_requests.watch(self._prefix, self._after))
        request = HttpRequest("POST", v3_requests.WATCH, json=body, headers=HEADERS)
        endpoint, response = self._gateway.endpoints.attempt(
            lambda endpoint, _: (endpoint, self._gateway.open(endpoint, request, SILENCE_S)),
            request,
        )
        self._response = response
        if self._interrupted.is_set():
            response.close()
            raise Unavailable(f"watch {self._prefix} is closed")
        return endpoint, response

    def _follow(self, endpoint: Endpoint, response: OpenResponse) -> Iterator[Event | Progress]:
        """Yield what one connection brings; return if the watch has to be opened again."""
        for message in _messages(response):
            if message.is_token_stale() and self._renew(endpoint):
                response.close()
                return
            self._check(message)
            if message.created and not self._has_begun(endpoint, message):
                response.close()
                return
            yield from [Progress(self._after)] if message.created else self._moved(message)
        raise EndpointFailed("ended the watch", seen=True)

    def _renew(self, endpoint: Endpoint) -> bool:
        """Drop a token that the server no longer accepts; say whether a new one may help."""
        self._gateway.forget_token(endpoint)
        self._renewals += 1
        return self._renewals <= RENEWALS_MAX

    def _check(self, message: v3_responses.WatchResponse) -> None:
        if message.compact_revision:
            raise HistoryCleared(
                f"watch {self._prefix}: changes after {self._after} are gone, "
                f"history begins at {message.compact_revision}"
            )
        if not message.canceled:
            return
        reason = message.cancel_reason or "ended the watch without a reason"
        if "permission" in reason or message.is_token_stale():
            raise Unauthorized(f"watch {self._prefix}: {reason}")
        raise EndpointFailed(reason, seen=True)

    def _has_begun(self, endpoint: Endpoint, message: v3_responses.WatchResponse) -> bool:
        """Return whether the server is of the cluster we follow, and no less far than we are."""
        cluster = message.header.cluster_id
        self._cluster = self._cluster or cluster
        if cluster != self._cluster:
            raise HistoryCleared(
                f"watch {self._prefix}: {endpoint} is of cluster {cluster}, not {self._cluster}"
            )
        if message.header.revision >= self._after:
            self._lags = self._renewals = 0
            return True
        self._lags += 1
        if self._lags > LAG_PAUSES_MAX:
            raise HistoryCleared(f"watch {self._prefix}: the store is behind index {self._after}")
        self._interrupted.wait(LAG_PAUSE_S)
        return False

    def _moved(self, message: v3_responses.WatchResponse) -> Iterator[Event | Progress]:
        expiries = self._gateway.expiries(v3_events.leases(each.kv for each in message.events))
        self._is_whole = not message.fragment
        for change in v3_events.changes(message, self._prefix, expiries):
            is_event = isinstance(change, Event)
            if change.index < self._after or (is_event and change.index == self._after):
                continue  # yielded before
            if isinstance(change, Progress) or not change.more:
                self._after = change.index
            yield change

    def _ended(self, endpoint: Endpoint, reason: EndpointFailed) -> Unavailable:
        return Unavailable(f"watch {self._prefix}: {endpoint} {reason}")


def _messages(response: OpenResponse) -> Iterator[v3_responses.WatchResponse]:
    """Yield the messages of a watch's stream; an error in it becomes the end of the watch."""
    lines = LineSplitter()
    for chunk in response.chunks():
        try:
            found = [
                v3_responses.decode(text, v3_responses.WatchLine) for text in lines.feed(chunk)
            ]
        except MalformedResponse as error:
            raise EndpointFailed(
                f"sent a response that is not of the v3 API: {error}", seen=True
            ) from error
        for line in found:
            if line.error is None:
                yield line.result
            else:
                yield v3_responses.WatchResponse(canceled=True, cancel_reason=line.error.message)
