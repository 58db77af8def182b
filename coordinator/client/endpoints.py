"""The servers of one store: which of them to ask, what kind each is, and failover.

A call goes to the endpoint that served the last one, and on to the next when it fails. What
may have reached a server is sent again only if doing it twice is harmless: `Request.once`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

import msgspec
import requests

from coordinator.client import wire
from coordinator.client.endpoint import Endpoint, Tls, parse
from coordinator.client.errors import Unavailable
from coordinator.client.exchange import ANSWER_S, EndpointFailed, Exchange, Request, read

# /version is answered from memory; a server that is slower with it is stuck.
PROBE_S = 3.0
T = TypeVar("T")


class Kind(Enum):
    """What serves an endpoint."""

    COORDINATOR = "coordinator"
    ETCD = "etcd"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, with the cluster that gave it and the cluster's index."""

    answer: wire.Answer
    cluster: str
    index: int | None


class Endpoints:
    """All servers of one store. Thread-safe."""

    def __init__(self, addresses: str | Sequence[str], tls: Tls) -> None:
        self._endpoints = parse(addresses)
        self._exchange = Exchange(tls)
        self._first = 0
        self._kinds: dict[Endpoint, Kind] = {}

    def close(self) -> None:
        """Close pooled connections."""
        self._exchange.close()

    def kind(self) -> Kind:
        """Return what serves the first endpoint that answers."""
        return self.attempt(lambda _, kind: kind, Request("GET", "/version", {}))

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
        try:
            probe = self._exchange.send(endpoint, Request("GET", "/version"), PROBE_S)
            kind = _kind_of(read(probe))
        except EndpointFailed as failure:
            raise EndpointFailed(str(failure), seen=False) from failure
        self._kinds[endpoint] = kind
        return kind


def decode(body: bytes) -> wire.Answer:
    """Decode an answer; EndpointFailed if it is not the v2 API's."""
    try:
        return wire.decode(body)
    except wire.Malformed as error:
        raise EndpointFailed(f"answers what is not the v2 API: {error}", seen=True) from error


def cluster_of(response: requests.Response) -> str:
    """Return the id of the cluster that answers."""
    return response.headers.get("X-Etcd-Cluster-Id", "")


def index_of(response: requests.Response) -> int | None:
    """Return the cluster's index as the answer began, if the answer tells it."""
    text = response.headers.get("X-Etcd-Index", "")
    return int(text) if text.isdecimal() else None


def _kind_of(version: bytes) -> Kind:
    try:
        names = msgspec.json.decode(version, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        names = {}
    if "coordinator" in names:
        return Kind.COORDINATOR
    if "etcdserver" in names:
        return Kind.ETCD
    raise EndpointFailed(f"is no coordinator and no etcd: /version is {version[:80]!r}", seen=False)
