"""Finds out what kind of server an endpoint is, once, before the first request."""

from http import HTTPStatus

import msgspec

from coordinator.client.core.endpoint import Endpoint, ServerKind
from coordinator.client.core.http_request import EndpointFailed, EndpointRefused, HttpRequest
from coordinator.client.http.http_client import HttpClient, OpenResponse

# /version is answered from memory; a server that is slower with it is stuck.
PROBE_S = 3.0
# A key that does not exist. A server of the v2 API answers in JSON that it is missing.
NO_KEY = "/v2/keys/_slashetc_probe"


def kind(client: HttpClient, endpoint: Endpoint) -> ServerKind:
    """Ask the server, unless the endpoint names its kind. EndpointFailed if it is no store."""
    if endpoint.forced is not None:
        return endpoint.forced
    try:
        version = client.send(endpoint, HttpRequest("GET", "/version"), PROBE_S).read()
        names = _field_names(version)
        if "coordinator" in names:
            return ServerKind.COORDINATOR
        if "etcdserver" in names:
            return _etcd_kind(client.open(endpoint, HttpRequest("GET", NO_KEY), PROBE_S))
    except EndpointRefused:
        raise
    except EndpointFailed as failure:
        raise EndpointFailed(str(failure), seen=False) from failure
    reason = f"is no coordinator and no etcd: /version is {version[:80]!r}"
    raise EndpointFailed(reason, seen=False)


def _etcd_kind(response: OpenResponse) -> ServerKind:
    """Tell an etcd without the v2 API from one that has it, but no key of this name."""
    body = response.read()
    if response.status == HTTPStatus.NOT_FOUND and "errorCode" not in _field_names(body):
        return ServerKind.ETCD3
    return ServerKind.ETCD


def _field_names(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
