"""The servers of one store: which of them to ask, what kind each is, and failover.

A call goes to the endpoint that served the last one, and on to the next when it fails. A request
that may have reached a server is sent again only if doing it twice is harmless: `HttpRequest.once`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import NoReturn, TypeVar

from coordinator.client.core import v2_responses
from coordinator.client.core.endpoint import Endpoint, ServerKind, parse
from coordinator.client.core.errors import BadRequest, Unauthorized, Unavailable
from coordinator.client.core.http_request import EndpointFailed, EndpointRefused, HttpRequest
from coordinator.client.core.json_lines import MalformedResponse
from coordinator.client.http import server_probe
from coordinator.client.http.connection_pool import CONNECT_S
from coordinator.client.http.http_client import ANSWER_S, HttpClient, OpenResponse
from coordinator.client.http.start_patience import EffectUnknown, StartPatience
from coordinator.client.http.tls_files import Tls

# Servers of one cluster answer within milliseconds of each other. One that does not is probed
# when its turn comes.
OTHERS_S = 0.3
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class V2Reply:
    """A whole response, with the cluster that gave it and the cluster's index."""

    response: v2_responses.V2Response
    cluster: str
    index: int | None


class EndpointPool:
    """All servers of one store. Thread-safe.

    For `patience_s` from now on, calls wait for a store that has not served any yet.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        tls: Tls,
        *,
        patience_s: float = 0.0,
        bearer: str = "",
    ) -> None:
        self._endpoints = parse(addresses)
        self._patience = StartPatience(patience_s)
        self._client = HttpClient(tls, bearer)
        self._first = 0
        self._kinds: dict[Endpoint, ServerKind] = {}
        self._agreed: ServerKind | None = None

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def kind(self) -> ServerKind:
        """Return the kind of all endpoints. The first call asks each of them.

        BadRequest if they are of different kinds, Unavailable if none answers; both name each.
        """
        if self._agreed is None:
            self._agreed = self._patience.repeat(self._probe_all)
        return self._agreed

    def ask(self, request: HttpRequest) -> V2Reply:
        """Return the response of the first endpoint that can serve the request."""

        def reply(endpoint: Endpoint, kind: ServerKind) -> V2Reply:
            response = self.send(endpoint, kind, request, ANSWER_S)
            return V2Reply(decode(response.read()), cluster_of(response), index_of(response))

        return self.attempt(reply, request)

    def attempt(self, call: Callable[[Endpoint, ServerKind], T], request: HttpRequest) -> T:
        """Run `call` on one endpoint after the other until it does not raise EndpointFailed."""
        result = self._patience.repeat(lambda: self._attempt(call, request))
        self._patience.end()
        return result

    def _attempt(self, call: Callable[[Endpoint, ServerKind], T], request: HttpRequest) -> T:
        reasons: dict[Endpoint, EndpointFailed] = {}
        for endpoint in self._in_order():
            try:
                return call(endpoint, self._kind(endpoint))
            except EndpointFailed as failure:
                self.mark_failed(endpoint)
                reasons[endpoint] = failure
                if request.once and failure.seen:
                    raise EffectUnknown(
                        f"{request}: {endpoint} {failure}; whether it took effect is unknown"
                    ) from failure
        _let_in(str(request), reasons)
        raise Unavailable(f"{request}: no endpoint can serve it: {_shown(reasons)}")

    def send(
        self, endpoint: Endpoint, kind: ServerKind, request: HttpRequest, silence_s: float
    ) -> OpenResponse:
        """Send a v2 request in the form that `kind` understands: see `HttpClient.send`."""
        if kind is ServerKind.COORDINATOR and request.extensions:
            request = replace(request, params=request.params | request.extensions)
        return self._client.send(endpoint, request, silence_s)

    def open(self, endpoint: Endpoint, request: HttpRequest, silence_s: float) -> OpenResponse:
        """Send the request as it is, and return any response: see `HttpClient.open`."""
        return self._client.open(endpoint, request, silence_s)

    def mark_failed(self, endpoint: Endpoint) -> None:
        """Ask the others first from now on, and probe this endpoint again before its next use."""
        self._kinds.pop(endpoint, None)
        if self._endpoints[self._first] == endpoint:
            self._first = (self._first + 1) % len(self._endpoints)

    def _in_order(self) -> Iterator[Endpoint]:
        first = self._first
        yield from self._endpoints[first:]
        yield from self._endpoints[:first]

    def _kind(self, endpoint: Endpoint) -> ServerKind:
        if (known := self._kinds.get(endpoint)) is not None:
            return known
        kind = server_probe.kind(self._client, endpoint)
        if self._agreed not in (None, kind):
            _refuse({endpoint: kind, **self._kinds})
        self._kinds[endpoint] = kind
        return kind

    def _probe_all(self) -> ServerKind:
        found: dict[Endpoint, ServerKind | EndpointFailed] = {}
        arrived: SimpleQueue[tuple[Endpoint, ServerKind | EndpointFailed]] = SimpleQueue()
        for each in self._endpoints:
            threading.Thread(target=self._probe, args=(each, arrived), daemon=True).start()
        wait_s = 2 * (CONNECT_S + server_probe.PROBE_S)
        while len(found) < len(self._endpoints):
            try:
                endpoint, answer = arrived.get(timeout=wait_s)
            except Empty:
                break
            found[endpoint] = answer
            if isinstance(answer, ServerKind):
                wait_s = OTHERS_S
        kinds = [answer for answer in found.values() if isinstance(answer, ServerKind)]
        if not kinds:
            failures = {at: each for at, each in found.items() if isinstance(each, EndpointFailed)}
            _let_in("the store", failures)
            remedy = "start the store there, or write its client URLs in --endpoints"
            raise Unavailable(f"no endpoint answers: {_shown(failures)}; {remedy}")
        if len(set(kinds)) > 1:
            _refuse(found)
        self._kinds |= {each: kind for each, kind in found.items() if isinstance(kind, ServerKind)}
        return kinds[0]

    def _probe(
        self,
        endpoint: Endpoint,
        arrived: SimpleQueue[tuple[Endpoint, ServerKind | EndpointFailed]],
    ) -> None:
        try:
            arrived.put((endpoint, server_probe.kind(self._client, endpoint)))
        except EndpointFailed as failure:
            arrived.put((endpoint, failure))


def of(given: "str | Sequence[str] | EndpointPool", tls: Tls | None) -> EndpointPool:
    """Return the pool that was given, or one of the given addresses."""
    return given if isinstance(given, EndpointPool) else EndpointPool(given, tls or Tls())


def _let_in(what: str, failures: Mapping[Endpoint, EndpointFailed]) -> None:
    """Raise Unauthorized if the servers that answered refuse this user."""
    refused = {at: each for at, each in failures.items() if isinstance(each, EndpointRefused)}
    answered = [each for each in failures.values() if each.answered]
    if refused and len(refused) == len(answered):
        remedy = "give the certificate or the password of a user whose roles permit it"
        raise Unauthorized(f"{what}: {_shown(refused)}: {remedy}")


def _shown(failures: Mapping[Endpoint, EndpointFailed]) -> str:
    return "; ".join(f"{endpoint} {failure}" for endpoint, failure in failures.items())


def _refuse(found: dict[Endpoint, ServerKind | EndpointFailed]) -> NoReturn:
    kinds = "; ".join(
        f"{endpoint} is {answer.value}"
        if isinstance(answer, ServerKind)
        else f"{endpoint} {answer}"
        for endpoint, answer in found.items()
    )
    raise BadRequest(f"the endpoints are not one store: {kinds}; name the servers of one cluster")


def decode(body: bytes) -> v2_responses.V2Response:
    """Decode a response; EndpointFailed if it is not the v2 API's."""
    try:
        return v2_responses.decode(body)
    except MalformedResponse as error:
        raise EndpointFailed(
            f"sent a response that is not of the v2 API: {error}", seen=True
        ) from error


def cluster_of(response: OpenResponse) -> str:
    """Return the id of the cluster that answers."""
    return response.headers.get("X-Etcd-Cluster-Id", "")


def index_of(response: OpenResponse) -> int | None:
    """Return the cluster's index when the response began, if the response has it."""
    text = response.headers.get("X-Etcd-Index", "")
    return int(text) if text.isdecimal() else None
