"""A token of the store, with which vulcand writes what its caller changes.

The token is of the caller, lasts a minute, and may write nothing but what vulcand keeps.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import history_directory

if TYPE_CHECKING:
    from coordinator.client import Tls
    from coordinator.client.core.endpoint import Endpoint
    from coordinator.client.http.http_client import HttpClient

TTL_S = 60
CALL_S = 10.0
FIELD = "X-Store-Authorization"


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """Where the store is, who asks it, and the prefix of vulcand's keys in it."""

    endpoints: str
    tls: "Tls"
    prefix: str

    def fields(self) -> dict[str, str]:
        """Return the field with a new token; none if the store has no users. Raises Failure."""
        if not self.endpoints:
            return {}
        from coordinator.client import BadRequest
        from coordinator.client.core.endpoint import parse
        from coordinator.client.http.http_client import HttpClient

        try:
            endpoints = parse(self.endpoints)
        except BadRequest as error:
            raise Failure(f"--endpoints: {error}", EXIT_USAGE) from None
        client = HttpClient(self.tls)
        try:
            token = self._ask(client, endpoints)
        finally:
            client.close()
        return {FIELD: f"Bearer {token}"} if token else {}

    def _ask(self, client: "HttpClient", endpoints: "Sequence[Endpoint]") -> str:
        from coordinator.client.core.http_request import EndpointFailed, HttpRequest

        below = f"/{self.prefix.strip('/')}"
        body = {"ttl_s": TTL_S, "prefixes": [f"{below}/", f"{history_directory(below)}/"]}
        asked = HttpRequest("POST", "/v2/auth/token", json=json.dumps(body).encode())
        failed = []
        for endpoint in endpoints:
            try:
                status, answer = _call(client, endpoint, HttpRequest("GET", "/v2/auth/enable"))
                if status != 200 or not answer.get("enabled"):
                    return ""  # no users: whoever reaches the store writes to it
                status, answer = _call(client, endpoint, asked)
            except EndpointFailed as error:
                failed.append(f"{endpoint} {error}")
                continue
            if status == 200:
                return str(answer.get("token", ""))
            why = answer.get("message") or answer.get("cause") or f"status {status}"
            remedy = "--cert-file and --key-file say who you are"
            raise Failure(f"the store gives no token: {why}: {remedy}")
        remedy = "vctl asks it for a token that vulcand writes with; --endpoints names the store"
        raise Failure(f"{'; '.join(failed)}: {remedy}")


def _call(client: "HttpClient", endpoint: "Endpoint", request: Any) -> tuple[int, dict[str, Any]]:
    with client.open(endpoint, request, CALL_S) as response:
        body = response.read()
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    return response.status, answer if isinstance(answer, dict) else {}
