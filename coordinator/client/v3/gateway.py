"""Requests to etcd's JSON gateway, with their tokens, and when the leases of others expire."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar

from coordinator.client.core import v3_lease_ids, v3_requests, v3_responses
from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.errors import Unauthorized
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.core.json_lines import MalformedResponse
from coordinator.client.http.endpoint_pool import EndpointPool
from coordinator.client.http.http_client import ANSWER_S, OpenResponse

NO_V3_API = "serves no v3 API: etcd has it from 3.4 on, unless --enable-grpc-gateway=false"
# Each lease costs a request, so its expiry is cached: two numbers.
EXPIRIES_MAX = 10_000
T = TypeVar("T")


class Gateway:
    """Sends requests to the servers of one cluster. Thread-safe."""

    def __init__(self, endpoints: EndpointPool) -> None:
        self.endpoints = endpoints
        self._tokens: dict[Endpoint, str] = {}
        self._expiries: OrderedDict[int, float] = OrderedDict()

    def ask(self, path: str, body: object, form: type[T], *, once: bool = False) -> T:
        """Return the response of the first endpoint that can serve the request."""
        request = HttpRequest("POST", path, json=v3_responses.encode(body), once=once)
        return self.endpoints.attempt(
            lambda endpoint, _: _decoded(self.open(endpoint, request, ANSWER_S), form), request
        )

    def open(self, endpoint: Endpoint, request: HttpRequest, silence_s: float) -> OpenResponse:
        """Return a successful response as soon as its headers are here.

        EndpointFailed if another endpoint may do better, else a StoreError.
        """
        response = self._send(endpoint, request, silence_s)
        if response.status == HTTPStatus.OK:
            return response
        error = _error(response)
        if error.is_token_stale() and self._tokens.pop(endpoint, None) is not None:
            response = self._send(endpoint, request, silence_s)
            if response.status == HTTPStatus.OK:
                return response
            error = _error(response)
        if error.is_endpoint_failure():
            raise EndpointFailed(
                f"answers {response.status}: {error.message}", seen=not error.is_unseen()
            )
        raise error.store_error(str(request))

    def forget_token(self, endpoint: Endpoint) -> None:
        """Get a new token before the next request."""
        self._tokens.pop(endpoint, None)

    def expiries(self, leases: Iterable[int]) -> Mapping[int, float]:
        """Return when these leases expire (Unix time): by the id of ours, without refreshes.

        Of a foreign lease, as of the first time it was asked for.
        """
        now_s = time.time()
        found = {
            lease: v3_lease_ids.expires_at(lease)
            if v3_lease_ids.is_ours(lease, now_s)
            else self._expiry(lease)
            for lease in leases
        }
        return {lease: expires_at for lease, expires_at in found.items() if expires_at is not None}

    def left_s(self, lease: int) -> int:
        """Return how many whole seconds a lease has left, less than 1 if it has expired."""
        return self.ask(v3_requests.TIME_TO_LIVE, {"ID": lease}, v3_responses.LeaseResponse).ttl_s

    def _expiry(self, lease: int) -> float | None:
        if (known := self._expiries.get(lease)) is not None:
            return known
        left_s = self.left_s(lease)
        if left_s < 1:
            return None
        self._expiries[lease] = expires_at = time.time() + left_s
        while len(self._expiries) > EXPIRIES_MAX:
            self._expiries.popitem(last=False)
        return expires_at

    def _send(self, endpoint: Endpoint, request: HttpRequest, silence_s: float) -> OpenResponse:
        if endpoint.auth is not None:
            if endpoint not in self._tokens:
                self._tokens[endpoint] = self._authenticate(endpoint, *endpoint.auth)
            if token := self._tokens[endpoint]:
                request = replace(request, headers={**request.headers, "Authorization": token})
        return self.endpoints.open(endpoint, request, silence_s)

    def _authenticate(self, endpoint: Endpoint, name: bytes, password: bytes) -> str:
        """Return a token, empty if the server has authentication switched off."""
        body = {"name": name.decode(), "password": password.decode()}
        request = HttpRequest("POST", v3_requests.AUTHENTICATE, json=v3_responses.encode(body))
        response = self.endpoints.open(endpoint, request, ANSWER_S)
        if response.status == HTTPStatus.OK:
            return _decoded(response, v3_responses.AuthenticateResponse).token
        error = _error(response)
        if v3_responses.NO_AUTH in error.message:
            return ""
        if error.is_endpoint_failure():
            raise EndpointFailed(f"refused a token: {error.message}", seen=False)
        raise Unauthorized(f"{endpoint}: {error.message}")


def _decoded(response: OpenResponse, form: type[T]) -> T:
    body = response.read()
    try:
        return v3_responses.decode(body, form)
    except MalformedResponse as error:
        raise EndpointFailed(
            f"sent a response that is not of the v3 API: {error}", seen=True
        ) from error


def _error(response: OpenResponse) -> v3_responses.GatewayError:
    body = response.read()
    try:
        return v3_responses.gateway_error(body)
    except MalformedResponse:
        if response.status == HTTPStatus.NOT_FOUND:
            raise EndpointFailed(NO_V3_API, seen=False) from None
        text = body[:200].decode(errors="replace").strip()
        raise EndpointFailed(f"answers {response.status}: {text}", seen=True) from None
