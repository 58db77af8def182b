"""The servers of one store: which of them to ask, what kind each is, and failover.

A call goes to the endpoint that served the last one, and on to the next when it fails. What
may have reached a server is sent again only if doing it twice is harmless: `Request.once`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import NoReturn, TypeVar

import requests

from coordinator.client.core import v2_responses
from coordinator.client.core.endpoint import Endpoint, Kind, Tls, parse
from coordinator.client.core.errors import BadRequest, Unavailable
from coordinator.client.http import server_probe
from coordinator.client.http.http_client import (
    ANSWER_S,
    CONNECT_S,
    EndpointFailed,
    Exchange,
    Request,
    read,
)

# Servers of one set answer within milliseconds of each other; one that does not is looked at
# when its turn comes.
OTHERS_S = 0.3
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, with the cluster that gave it and the cluster's index."""

    answer: v2_responses.Answer
    cluster: str
    index: int | None


class Endpoints:
    """All servers of one store. Thread-safe."""

    def __init__(self, addresses: str | Sequence[str], tls: Tls) -> None:
        self._endpoints = parse(addresses)
        self._exchange = Exchange(tls)
        self._first = 0
        self._kinds: dict[Endpoint, Kind] = {}
        self._agreed: Kind | None = None

    def close(self) -> None:
        """Close pooled connections."""
        self._exchange.close()

    def kind(self) -> Kind:
        """Return what serves all endpoints, asking each the first time.

        BadRequest if they are of different kinds, Unavailable if none answers; both name each.
        """
        if self._agreed is None:
            self._agreed = self._survey()
        return self._agreed

    def ask(self, request: Request) -> Reply:
        """Return the answer of the first endpoint that can serve the request."""

        def reply(endpoint: Endpoint, kind: Kind) -> Reply:
            response = self.send(endpoint, kind, request, ANSWER_S)
            return Reply(decode(read(response)), cluster_of(response), index_of(response))

        return self.attempt(reply, request)

    def attempt(self, call: Callable[[Endpoint, Kind], T], request: Request) -> T:
        """Run `call` on one endpoint after the other until it does not raise EndpointFailed."""
        reasons = []
        for endpoint in self._in_order():
            try:
                return call(endpoint, self._kind(endpoint))
            except EndpointFailed as failure:
                self.distrust(endpoint)
                reasons.append(f"{endpoint} {failure}")
                if request.once and failure.seen:
                    raise Unavailable(
                        f"{request}: {reasons[-1]}; whether it took effect is unknown"
                    ) from failure
        raise Unavailable(f"{request}: no endpoint can serve it: {'; '.join(reasons)}")

    def send(
        self, endpoint: Endpoint, kind: Kind, request: Request, silence_s: float
    ) -> requests.Response:
        """Send the request in the words of `kind`: see `Exchange.send`."""
        if kind is Kind.COORDINATOR and request.extensions:
            request = replace(request, params=request.params | request.extensions)
        return self._exchange.send(endpoint, request, silence_s)

    def open(self, endpoint: Endpoint, request: Request, silence_s: float) -> requests.Response:
        """Send the request as it is, and return whatever answers: see `Exchange.open`."""
        return self._exchange.open(endpoint, request, silence_s)

    def distrust(self, endpoint: Endpoint) -> None:
        """Ask others first from now on, and ask anew what this one is."""
        self._kinds.pop(endpoint, None)
        if self._endpoints[self._first] == endpoint:
            self._first = (self._first + 1) % len(self._endpoints)

    def _in_order(self) -> Iterator[Endpoint]:
        first = self._first
        yield from self._endpoints[first:]
        yield from self._endpoints[:first]

    def _kind(self, endpoint: Endpoint) -> Kind:
        if (known := self._kinds.get(endpoint)) is not None:
            return known
        kind = server_probe.kind(self._exchange, endpoint)
        if self._agreed not in (None, kind):
            _refuse({endpoint: kind, **self._kinds})
        self._kinds[endpoint] = kind
        return kind

    def _survey(self) -> Kind:
        found: dict[Endpoint, Kind | EndpointFailed] = {}
        arrived: SimpleQueue[tuple[Endpoint, Kind | EndpointFailed]] = SimpleQueue()
        for each in self._endpoints:
            threading.Thread(target=self._look, args=(each, arrived), daemon=True).start()
        patience_s = 2 * (CONNECT_S + server_probe.PROBE_S)
        while len(found) < len(self._endpoints):
            try:
                endpoint, answer = arrived.get(timeout=patience_s)
            except Empty:
                break
            found[endpoint] = answer
            if isinstance(answer, Kind):
                patience_s = OTHERS_S
        kinds = [answer for answer in found.values() if isinstance(answer, Kind)]
        if not kinds:
            reasons = "; ".join(f"{endpoint} {failed}" for endpoint, failed in found.items())
            raise Unavailable(f"no endpoint answers: {reasons}")
        if len(set(kinds)) > 1:
            _refuse(found)
        self._kinds |= {each: kind for each, kind in found.items() if isinstance(kind, Kind)}
        return kinds[0]

    def _look(
        self, endpoint: Endpoint, arrived: SimpleQueue[tuple[Endpoint, Kind | EndpointFailed]]
    ) -> None:
        try:
            arrived.put((endpoint, server_probe.kind(self._exchange, endpoint)))
        except EndpointFailed as failure:
            arrived.put((endpoint, failure))


def of(given: "str | Sequence[str] | Endpoints", tls: Tls | None) -> Endpoints:
    """Return the endpoints that were given, or those at the given addresses."""
    return given if isinstance(given, Endpoints) else Endpoints(given, tls or Tls())


def _refuse(found: dict[Endpoint, Kind | EndpointFailed]) -> NoReturn:
    told = "; ".join(
        f"{endpoint} is {answer.value}" if isinstance(answer, Kind) else f"{endpoint} {answer}"
        for endpoint, answer in found.items()
    )
    raise BadRequest(f"the endpoints are not one store: {told}; name the servers of one cluster")


def decode(body: bytes) -> v2_responses.Answer:
    """Decode an answer; EndpointFailed if it is not the v2 API's."""
    try:
        return v2_responses.decode(body)
    except v2_responses.Malformed as error:
        raise EndpointFailed(f"answers what is not the v2 API: {error}", seen=True) from error


def cluster_of(response: requests.Response) -> str:
    """Return the id of the cluster that answers."""
    return response.headers.get("X-Etcd-Cluster-Id", "")


def index_of(response: requests.Response) -> int | None:
    """Return the cluster's index as the answer began, if the answer tells it."""
    text = response.headers.get("X-Etcd-Index", "")
    return int(text) if text.isdecimal() else None
