"""Whether the store keeps its quorum while this host, with its member of the store, reboots.

A coordinator and an etcd with the v2 API list their members at /v2/members, an etcd with the v3 API
alone lists them by that. Only a leader is asked to move the leadership: a coordinator by
`POST /v2/members/leader` with {"id": ""}, meaning any other member, and an etcd by its v3 API.
"""

import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import psutil

from coordinator.client.core import endpoint
from coordinator.client.core.endpoint import Endpoint, ServerKind
from coordinator.client.core.errors import StoreError
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.endpoint_pool import EndpointPool
from coordinator.client.http.http_client import HttpClient
from coordinator.client.http.tls_files import Tls
from daemonkit.core import addresses
from locksmith.store import etcd_members
from locksmith.store.etcd_members import Member
from locksmith.store.store_options import with_credentials

ASK_S = 5.0
# The coordinator elects a leader within a second; etcd takes one to two by default.
MOVE_S = 10.0

LIST = HttpRequest("GET", "/v2/members")
STATS = HttpRequest("GET", "/v2/stats/self")
HEALTH = HttpRequest("GET", "/health")
MOVE = HttpRequest(
    "POST",
    "/v2/members/leader",
    json=b'{"id": ""}',
    headers={"Content-Type": "application/json"},
    once=True,
)
T = TypeVar("T")


class _Listed(msgspec.Struct):
    members: tuple[Member, ...]


class _Stats(msgspec.Struct):
    state: str = ""


class MembersUnknown(Exception):  # noqa: N818 - a fact, and a reason not to reboot
    """The members cannot be listed; the message says why."""


@dataclass(frozen=True, slots=True)
class MemberList:
    """The members of the store; `own` is None on a host without a member."""

    all: tuple[Member, ...]
    own: Member | None


@dataclass(frozen=True)
class StoreQuorum:
    """Asks the members.

    `own_name` is the name of this host's member, `auto` (found by its addresses), or `no`. `login`
    is the user name and the password for endpoints without their own.
    """

    endpoints: tuple[str, ...]
    own_name: str = "auto"
    addresses: frozenset[str] = frozenset()
    tls: Tls = field(default_factory=Tls)
    login: tuple[str, str] = ("", "")

    def list_members(self) -> MemberList:
        """List the members and find the one on this host. Raises MembersUnknown."""
        if self.own_name == "no":
            return MemberList((), None)
        try:
            found = self._listed()
        except StoreError as error:
            raise MembersUnknown(f"the members of the store cannot be listed: {error}") from error
        return MemberList(found, find_own(found, self.own_name, self.addresses))

    def blocker(self, members: MemberList) -> str:
        """Return why this host's member must keep running; "" if the others keep the quorum."""
        own = members.own
        if own is None or own.is_learner:
            return ""
        voters = [one for one in members.all if not one.is_learner]
        others = [one for one in voters if one.id != own.id]
        healthy = [one for one in others if self._is_healthy(one)]
        quorum = len(voters) // 2 + 1
        if len(healthy) >= quorum:
            return ""
        return (
            f"store member {own.name}: {len(healthy)} of {len(others)} other "
            f"members are healthy, a quorum is {quorum}"
        )

    def move_leadership(self, members: MemberList) -> str:
        """Move the leadership away from this host's member; return what happened, if anything."""
        own = members.own
        if own is None or not own.client_urls:
            return ""
        try:
            if self._pool.kind() is not ServerKind.COORDINATOR:
                return self._move_in_etcd(own)
            server = self._server(own.client_urls[0])
            if self._ask(server, STATS, _Stats).state != "StateLeader":
                return ""
            self._send(server, MOVE, MOVE_S)
        except (EndpointFailed, StoreError) as error:
            return f"leadership not moved ({error}); the others will elect a leader if it is here"
        return "leadership moved"

    @cached_property
    def _pool(self) -> EndpointPool:
        return self._pool_of(self.endpoints)

    @cached_property
    def _client(self) -> HttpClient:
        return HttpClient(self.tls)

    def _pool_of(self, urls: Iterable[str]) -> EndpointPool:
        return EndpointPool([with_credentials(url, *self.login) for url in urls], self.tls)

    def _server(self, url: str) -> Endpoint:
        return endpoint.parse(with_credentials(url, *self.login))[0]

    def _listed(self) -> tuple[Member, ...]:
        if self._pool.kind() is ServerKind.ETCD3:
            return etcd_members.listed(self._pool)
        return self._pool.attempt(lambda server, _: self._ask(server, LIST, _Listed).members, LIST)

    def _move_in_etcd(self, own: Member) -> str:
        pool = self._pool_of(own.client_urls)
        if not etcd_members.is_leader(pool):
            return ""
        for other in etcd_members.listed(pool):
            voter = not other.is_learner and other.client_urls != own.client_urls
            if voter and self._is_healthy(other):
                etcd_members.move_leadership(pool, other)
                return f"leadership moved to {other.name}"
        return "leadership not moved: no other member is healthy"

    def _is_healthy(self, member: Member) -> bool:
        for url in member.client_urls:
            try:
                self._send(self._server(url), HEALTH, ASK_S)
            except (EndpointFailed, StoreError):
                continue
            return True
        return False

    def _ask(self, server: Endpoint, request: HttpRequest, form: type[T]) -> T:
        body = self._send(server, request, ASK_S)
        try:
            return msgspec.json.decode(body, type=form)
        except (msgspec.DecodeError, RecursionError) as error:
            raise EndpointFailed(f"answers {body[:80]!r} to {request}", seen=True) from error

    def _send(self, server: Endpoint, request: HttpRequest, silence_s: float) -> bytes:
        response = self._client.open(server, request, silence_s)
        body = response.read()
        if response.status >= 300:
            raise EndpointFailed(f"answers {response.status} to {request}", seen=True)
        return body


def host_addresses() -> frozenset[str]:
    """Return the addresses of this host, without loopback, and its name."""
    found_addresses = (
        addresses.plain(address.address)
        for found in psutil.net_if_addrs().values()
        for address in found
        if address.family in {socket.AF_INET, socket.AF_INET6}
    )
    others = {each for each in found_addresses if not addresses.is_loopback(each)}
    return frozenset({*others, socket.gethostname().lower()})


def find_own(members: Iterable[Member], own_name: str, own: Collection[str]) -> Member | None:
    """Return the member on the host with the addresses and names `own`.

    Names in URLs are resolved. Loopback addresses do not count: every host has them.
    """
    for member in members:
        if own_name != "auto":
            if member.name == own_name:
                return member
            continue
        urls = (*member.client_urls, *member.peer_urls)
        if any(_is_at(urlsplit(url).hostname or "", own) for url in urls):
            return member
    return None


def _is_at(host: str, own: Collection[str]) -> bool:
    if host in own:
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError):
        return False
    return any(addresses.plain(str(address[0])) in own for *_, address in found)
