"""The door to a v3 server: requests with their tokens, and the ends of others' leases."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar

import requests

from coordinator.client.core import v3_requests, v3_responses
from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.errors import Unauthorized
from coordinator.client.core.v2_responses import Malformed
from coordinator.client.http.endpoint_pool import Endpoints
from coordinator.client.http.http_client import ANSWER_S, EndpointFailed, Request, read

NO_V3_API = "serves no v3 API: etcd has it from 3.4 on, unless --enable-grpc-gateway=false"
# One question a lease, so the answers are kept; each is a number and a time.
ENDS_MAX = 10_000
T = TypeVar("T")


class Gate:
    """Asks the servers of one cluster. Thread-safe."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self._tokens: dict[Endpoint, str] = {}
        self._ends: OrderedDict[int, float] = OrderedDict()

    def ask(self, path: str, body: object, form: type[T], *, once: bool = False) -> T:
        """Return the answer of the first endpoint that can serve the request."""
        request = Request("POST", path, json=v3_responses.encode(body), once=once)
        return self.endpoints.attempt(
            lambda endpoint, _: self._decoded(self.open(endpoint, request, ANSWER_S), form),
            request,
        )

    def open(self, endpoint: Endpoint, request: Request, silence_s: float) -> requests.Response:
        """Return the answer once its headers are here. EndpointFailed, or a StoreError."""
        response = self._send(endpoint, request, silence_s)
        if response.status_code == HTTPStatus.OK:
            return response
        failure = _failure(response)
        if failure.is_old_token() and self._tokens.pop(endpoint, None) is not None:
            response = self._send(endpoint, request, silence_s)
            if response.status_code == HTTPStatus.OK:
                return response
            failure = _failure(response)
        if failure.is_elsewhere_better():
            raise EndpointFailed(
                f"answers {response.status_code}: {failure.message}", seen=not failure.is_unseen()
            )
        raise failure.error(str(request))

    def forget_token(self, endpoint: Endpoint) -> None:
        """Ask for a new token before the next request."""
        self._tokens.pop(endpoint, None)

    def ends(self, leases: Iterable[int]) -> Mapping[int, float]:
        """Return when these leases end, as they stand or stood when they were first asked for."""
        found = {lease: self._end_at(lease) for lease in leases}
        return {lease: end_at for lease, end_at in found.items() if end_at is not None}

    def left_s(self, lease: int) -> int:
        """Return how many whole seconds a lease has left, less than 1 if it is gone."""
        return self.ask(v3_requests.TIME_TO_LIVE, {"ID": lease}, v3_responses.Lease).ttl_s

    def _end_at(self, lease: int) -> float | None:
        if (known := self._ends.get(lease)) is not None:
            return known
        left_s = self.left_s(lease)
        if left_s < 1:
            return None
        self._ends[lease] = end_at = time.time() + left_s
        while len(self._ends) > ENDS_MAX:
            self._ends.popitem(last=False)
        return end_at

    def _send(self, endpoint: Endpoint, request: Request, silence_s: float) -> requests.Response:
        if endpoint.auth is not None:
            if endpoint not in self._tokens:
                self._tokens[endpoint] = self._token(endpoint, *endpoint.auth)
            if token := self._tokens[endpoint]:
                request = replace(request, headers={**request.headers, "Authorization": token})
        return self.endpoints.open(endpoint, request, silence_s)

    def _token(self, endpoint: Endpoint, name: bytes, password: bytes) -> str:
        body = {"name": name.decode(), "password": password.decode()}
        request = Request("POST", v3_requests.AUTHENTICATE, json=v3_responses.encode(body))
        response = self.endpoints.open(endpoint, request, ANSWER_S)
        if response.status_code == HTTPStatus.OK:
            return self._decoded(response, v3_responses.Token).token
        failure = _failure(response)
        if v3_responses.NO_AUTH in failure.message:
            return ""
        if failure.is_elsewhere_better():
            raise EndpointFailed(f"gives no token: {failure.message}", seen=False)
        raise Unauthorized(f"{endpoint}: {failure.message}")

    def _decoded(self, response: requests.Response, form: type[T]) -> T:
        body = read(response)
        try:
            return v3_responses.decode(body, form)
        except Malformed as error:
            raise EndpointFailed(f"answers what is not the v3 API: {error}", seen=True) from error


def _failure(response: requests.Response) -> v3_responses.Failure:
    body = read(response)
    try:
        return v3_responses.failure(body)
    except Malformed:
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise EndpointFailed(NO_V3_API, seen=False) from None
        told = body[:200].decode(errors="replace").strip()
        raise EndpointFailed(f"answers {response.status_code}: {told}", seen=True) from None
