"""What serves an endpoint: asked once, before the first request."""

from http import HTTPStatus

import msgspec
import requests

from coordinator.client.core.endpoint import Endpoint, Kind
from coordinator.client.http.http_client import EndpointFailed, Exchange, Request, read

# /version is answered from memory; a server that is slower with it is stuck.
PROBE_S = 3.0
# A key that nobody has. Where the v2 API is served, its absence is told in JSON.
NO_KEY = "/v2/keys/_slashetc_probe"


def kind(exchange: Exchange, endpoint: Endpoint) -> Kind:
    """Ask the server, unless the endpoint says it already; EndpointFailed if it is no store."""
    if endpoint.forced is not None:
        return endpoint.forced
    try:
        version = read(exchange.send(endpoint, Request("GET", "/version"), PROBE_S))
        names = _names(version)
        if "coordinator" in names:
            return Kind.COORDINATOR
        if "etcdserver" in names:
            return _api(exchange.open(endpoint, Request("GET", NO_KEY), PROBE_S))
    except EndpointFailed as failure:
        raise EndpointFailed(str(failure), seen=False) from failure
    reason = f"is no coordinator and no etcd: /version is {version[:80]!r}"
    raise EndpointFailed(reason, seen=False)


def _api(answer: requests.Response) -> Kind:
    """Tell an etcd that knows no v2 keys from one that has none of this name."""
    body = read(answer)
    if answer.status_code == HTTPStatus.NOT_FOUND and "errorCode" not in _names(body):
        return Kind.ETCD3
    return Kind.ETCD


def _names(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
