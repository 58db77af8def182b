"""Following a prefix on etcd's v3 API: one watch, its events counted by revision.

etcd marks a quiet watch's progress every ten minutes, too seldom to tell a quiet line from a dead
one, and the gateway does not let a client ask in between. So a watch that is silent for
SILENCE_S is opened anew from where it stands; that the server confirms it is the sign of life.
What happened beside the prefix does not move such a watch on, so a compaction may one day pass
it by. That costs a listing; to believe the silence would cost a change.
"""

import threading
from collections.abc import Iterator

import requests

from coordinator.client.core import v3_events, v3_requests, v3_responses
from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.errors import HistoryCleared, Unauthorized, Unavailable
from coordinator.client.core.store_protocol import Event, Progress
from coordinator.client.core.v2_responses import Lines, Malformed
from coordinator.client.http.http_client import EndpointFailed, Request, Silent, chunks, hang_up
from coordinator.client.v3.gateway import Gate

SILENCE_S = 30.0
# A member that lost its leader, as one cut off from the others has, ends its watches.
HEADERS = {"Grpc-Metadata-Hasleader": "true"}
# A follower may lag behind the index its client got from the leader; a restored store stays so.
LAG_PAUSE_S = 0.1
LAG_PAUSES_MAX = 10
# A token that is refused fresh from the server will not get better.
RENEWALS_MAX = 2


class Tail:
    """Changes of one prefix after an index, for one thread; `interrupt` is for the others."""

    def __init__(self, gate: Gate, prefix: str, after: int, cluster: str) -> None:
        self._gate = gate
        self._prefix = prefix
        self._after = after
        self._cluster = cluster
        self._is_whole = True
        self._lags = 0
        self._renewals = 0
        self._interrupted = threading.Event()
        self._response: requests.Response | None = None

    def changes(self) -> Iterator[Event | Progress]:
        """Open the watch, yield Progress(after), then each change, blocking."""
        while not self._interrupted.is_set():
            endpoint, response = self._open()
            try:
                yield from self._follow(endpoint, response)
            except Silent as silence:
                if not self._is_whole:
                    raise self._ended(endpoint, silence) from silence
            except EndpointFailed as failure:
                self._gate.endpoints.distrust(endpoint)
                raise self._ended(endpoint, failure) from failure

    def interrupt(self) -> None:
        """End `changes` from another thread, also where it waits for the network."""
        self._interrupted.set()
        if (response := self._response) is not None:
            hang_up(response)

    def _open(self) -> tuple[Endpoint, requests.Response]:
        body = v3_responses.encode(v3_requests.watch(self._prefix, self._after))
        request = Request("POST", v3_requests.WATCH, json=body, headers=HEADERS)
        endpoint, response = self._gate.endpoints.attempt(
            lambda endpoint, _: (endpoint, self._gate.open(endpoint, request, SILENCE_S)), request
        )
        self._response = response
        if self._interrupted.is_set():
            response.close()
            raise Unavailable(f"watch {self._prefix} is closed")
        return endpoint, response

    def _follow(
        self, endpoint: Endpoint, response: requests.Response
    ) -> Iterator[Event | Progress]:
        """Yield what one connection brings; end if the watch is to be opened anew."""
        for told in _messages(response):
            if told.is_old_token() and self._renew(endpoint):
                response.close()
                return
            self._judge(told)
            if told.created and not self._has_begun(endpoint, told):
                response.close()
                return
            yield from [Progress(self._after)] if told.created else self._moved(told)
        raise EndpointFailed("ended the watch", seen=True)

    def _renew(self, endpoint: Endpoint) -> bool:
        """Drop a token that the server knows no more; say whether another may help."""
        self._gate.forget_token(endpoint)
        self._renewals += 1
        return self._renewals <= RENEWALS_MAX

    def _judge(self, told: v3_responses.Told) -> None:
        if told.compact_revision:
            raise HistoryCleared(
                f"watch {self._prefix}: changes after {self._after} are gone, "
                f"history begins at {told.compact_revision}"
            )
        if not told.canceled:
            return
        reason = told.cancel_reason or "ended the watch without a reason"
        if "permission" in reason or told.is_old_token():
            raise Unauthorized(f"watch {self._prefix}: {reason}")
        raise EndpointFailed(reason, seen=True)

    def _has_begun(self, endpoint: Endpoint, told: v3_responses.Told) -> bool:
        """Say whether this is the cluster we follow, and as far as we are."""
        cluster = told.header.cluster_id
        self._cluster = self._cluster or cluster
        if cluster != self._cluster:
            raise HistoryCleared(
                f"watch {self._prefix}: {endpoint} is of cluster {cluster}, not {self._cluster}"
            )
        if told.header.revision >= self._after:
            self._lags = self._renewals = 0
            return True
        self._lags += 1
        if self._lags > LAG_PAUSES_MAX:
            raise HistoryCleared(f"watch {self._prefix}: the store is behind index {self._after}")
        self._interrupted.wait(LAG_PAUSE_S)
        return False

    def _moved(self, told: v3_responses.Told) -> Iterator[Event | Progress]:
        ends = self._gate.ends(v3_events.foreign(each.kv for each in told.events))
        self._is_whole = not told.fragment
        for change in v3_events.events(told, self._prefix, ends):
            is_event = isinstance(change, Event)
            if change.index < self._after or (is_event and change.index == self._after):
                continue  # told before
            if isinstance(change, Progress) or not change.more:
                self._after = change.index
            yield change

    def _ended(self, endpoint: Endpoint, reason: EndpointFailed) -> Unavailable:
        return Unavailable(f"watch {self._prefix}: {endpoint} {reason}")


def _messages(response: requests.Response) -> Iterator[v3_responses.Told]:
    """Yield what a watch's stream says; its error is the end of the watch too."""
    lines = Lines()
    for chunk in chunks(response):
        try:
            found = [v3_responses.decode(text, v3_responses.Line) for text in lines.feed(chunk)]
        except Malformed as error:
            raise EndpointFailed(f"answers what is not the v3 API: {error}", seen=True) from error
        for line in found:
            if line.error is None:
                yield line.result
            else:
                yield v3_responses.Told(canceled=True, cancel_reason=line.error.message)
