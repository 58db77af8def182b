"""The users, roles and members of the store, by its HTTP API."""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Self

import msgspec

from coordinator.client import StoreError, Tls, Unauthorized, Unavailable
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.endpoint_pool import EndpointPool

ANSWER_S = 10.0
JSON = {"Content-Type": "application/json"}
_BUSY = {HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE}


class ApiRefused(StoreError):  # noqa: N818 - an answer
    """The store refused a change; the message says which, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class StoreMember(msgspec.Struct, frozen=True):
    """A member of the store. One that has never run has no name."""

    id: str
    name: str = ""
    peer_urls: list[str] = msgspec.field(name="peerURLs", default_factory=list)
    client_urls: list[str] = msgspec.field(name="clientURLs", default_factory=list)


class _MemberList(msgspec.Struct):
    members: list[StoreMember]


class ClusterApi:
    """Calls of the API. All raise StoreError."""

    def __init__(self, endpoints: str | Sequence[str], tls: Tls | None = None) -> None:
        self._pool = EndpointPool(endpoints, tls or Tls())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def members(self) -> list[StoreMember]:
        """Return the members of the store."""
        return msgspec.json.decode(self._ask("GET", "/v2/members"), type=_MemberList).members

    def add_member(self, peer_url: str) -> None:
        """Add a member without data, as a learner. One that was added and has not run is kept.

        One that has run is replaced: without its data it has forgotten its votes, and could vote
        twice.
        """
        for each in self.members():
            if peer_url in each.peer_urls:
                if not each.name:
                    return
                self.remove_member(each)
        self._ask("POST", "/v2/members", {"peerURLs": [peer_url]})

    def update_member(self, member: StoreMember, peer_urls: Sequence[str]) -> None:
        """Tell the cluster other peer URLs of a member."""
        self._ask("PUT", f"/v2/members/{member.id}", {"peerURLs": list(peer_urls)})

    def remove_member(self, member: StoreMember) -> None:
        """Remove a member."""
        try:
            self._ask("DELETE", f"/v2/members/{member.id}")
        except ApiRefused as refusal:
            if refusal.status != HTTPStatus.GONE:
                raise

    def put_role(self, document: Mapping[str, Any]) -> None:
        """Create a role, or replace what it permits."""
        self._ask("PUT", f"/v2/auth/roles/{document['role']}", {**document, "replace": True})

    def has_role(self, name: str) -> bool:
        """Return whether there is a role."""
        return self._exists(f"/v2/auth/roles/{name}")

    def put_user(self, document: Mapping[str, Any]) -> None:
        """Create a user, or set what the document has; `not_before` or `attributes` is in it."""
        self._ask("PUT", f"/v2/auth/users/{document['user']}", document)

    def has_user(self, name: str) -> bool:
        """Return whether there is a user."""
        return self._exists(f"/v2/auth/users/{name}")

    def remove_user(self, name: str) -> None:
        """Remove a user, if it is there."""
        try:
            self._ask("DELETE", f"/v2/auth/users/{name}")
        except ApiRefused as refusal:
            if refusal.status != HTTPStatus.NOT_FOUND:
                raise

    def enable_auth(self) -> None:
        """Enforce the roles from now on."""
        if not msgspec.json.decode(self._ask("GET", "/v2/auth/enable")).get("enabled"):
            self._ask("PUT", "/v2/auth/enable", {})

    def auth_is_enabled(self) -> bool:
        """Return whether the roles are enforced."""
        return bool(msgspec.json.decode(self._ask("GET", "/v2/auth/enable")).get("enabled"))

    def _exists(self, path: str) -> bool:
        try:
            self._ask("GET", path)
        except ApiRefused as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> bytes:
        body = None if document is None else msgspec.json.encode(document)
        request = HttpRequest(method, path, json=body, headers=JSON if body else {})

        def send(endpoint: Any, _: object) -> bytes:
            response = self._pool.open(endpoint, request, ANSWER_S)
            answer = response.read()
            if response.status in _BUSY:
                raise EndpointFailed(f"answers {_reason(answer)}", seen=True)
            if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise Unauthorized(f"{request}: {_reason(answer)}")
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise ApiRefused(response.status, f"{request}: {_reason(answer)}")
            return answer

        return self._pool.attempt(send, request)


def wait_for_leader(endpoints: str | Sequence[str], tls: Tls | None, deadline_s: float) -> bool:
    """Wait until the store can decide; return whether it could in time. Raises StoreError."""
    end_s = time.monotonic() + deadline_s
    while time.monotonic() < end_s:
        try:
            with ClusterApi(endpoints, tls) as api:
                api.members()
                api.auth_is_enabled()
        except Unavailable:
            time.sleep(0.1)
        else:
            return True
    return False


def _reason(answer: bytes) -> str:
    try:
        found = msgspec.json.decode(answer)
    except msgspec.MsgspecError:
        return answer[:300].decode(errors="replace").strip()
    if not isinstance(found, dict):
        return str(found)[:300]
    text = ": ".join(str(found[name]) for name in ("message", "cause") if found.get(name))
    return text or str(found)[:300]
