"""Whether the store keeps its quorum while this host, with its member of the store, reboots.

Asks etcd's v2 API: /v2/members, /v2/stats/self and /health of each member. Leadership is moved by
`POST /v2/members/leader` with {"id": ""}, meaning any other member. The coordinator has this call.
The v2 API of etcd does not; there the next election moves the leadership.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

ASK_S = 5.0
# The coordinator elects a leader within a second; etcd takes one to two by default.
MOVE_S = 10.0

TlsFiles = tuple[str, str, str]  # CA, certificate, key; "" for none


class Member(msgspec.Struct, frozen=True):
    """A member of the store, as /v2/members lists it."""

    id: str
    name: str = ""
    client_urls: tuple[str, ...] = msgspec.field(name="clientURLs", default=())
    peer_urls: tuple[str, ...] = msgspec.field(name="peerURLs", default=())


class _Listed(msgspec.Struct):
    members: tuple[Member, ...]


class _Stats(msgspec.Struct):
    state: str = ""


class _NoAnswer(Exception):  # noqa: N818 - a fact about a member
    """A member did not answer, or answered with an error; the message says which."""


class MembersUnknown(Exception):  # noqa: N818 - a fact, and a reason not to reboot
    """The members cannot be listed; the message says why."""


@dataclass(frozen=True, slots=True)
class MemberList:
    """The members of the store; `own` is None on a host without a member."""

    all: tuple[Member, ...]
    own: Member | None


@dataclass(frozen=True, slots=True)
class StoreQuorum:
    """Asks the members.

    `own_name` is the name of this host's member, `auto` (found by its addresses), or `no`.
    """

    endpoints: tuple[str, ...]
    own_name: str = "auto"
    addresses: frozenset[str] = frozenset()
    tls: TlsFiles = ("", "", "")

    def list_members(self) -> MemberList:
        """List the members and find the one on this host. Raises MembersUnknown."""
        if self.own_name == "no":
            return MemberList((), None)
        why = "no endpoint is given"
        for endpoint in self.endpoints:
            try:
                body = self._get(f"{endpoint}/v2/members")
                found = msgspec.json.decode(body, type=_Listed).members
            except (_NoAnswer, msgspec.DecodeError) as error:
                why = f"{endpoint}: {error}"
                continue
            return MemberList(found, find_own(found, self.own_name, self.addresses))
        raise MembersUnknown(f"the members of the store cannot be listed: {why}")

    def blocker(self, members: MemberList) -> str:
        """Return why this host's member must keep running; "" if the others keep the quorum."""
        if members.own is None:
            return ""
        others = [one for one in members.all if one.id != members.own.id]
        healthy = [one for one in others if self._is_healthy(one)]
        quorum = len(members.all) // 2 + 1
        if len(healthy) >= quorum:
            return ""
        return (
            f"store member {members.own.name}: {len(healthy)} of {len(others)} other "
            f"members are healthy, a quorum is {quorum}"
        )

    def move_leadership(self, members: MemberList) -> str:
        """Move the leadership away from this host's member; return what happened, if anything."""
        own = members.own
        if own is None or not self._is_leader(own):
            return ""
        url = f"{own.client_urls[0]}/v2/members/leader"
        try:
            status, _ = self._request("POST", url, MOVE_S, b'{"id": ""}')
        except _NoAnswer as error:
            return f"leadership not moved: {error}"
        if status < 400:
            return "leadership moved"
        return f"leadership not moved (status {status}), the others will elect a leader"

    def _is_leader(self, member: Member) -> bool:
        try:
            body = self._get(f"{member.client_urls[0]}/v2/stats/self")
            return msgspec.json.decode(body, type=_Stats).state == "StateLeader"
        except (_NoAnswer, msgspec.DecodeError, IndexError):
            return False

    def _is_healthy(self, member: Member) -> bool:
        for url in member.client_urls:
            try:
                self._get(f"{url}/health")
            except _NoAnswer:
                continue
            return True
        return False

    def _get(self, url: str) -> bytes:
        status, body = self._request("GET", url, ASK_S)
        if status >= 400:
            raise _NoAnswer(f"status {status}")
        return body

    def _request(
        self, method: str, url: str, timeout_s: float, body: bytes = b""
    ) -> tuple[int, bytes]:
        import requests  # a fifth of the daemon's start, and only hosts with a member need it

        ca, cert, key = self.tls
        tls: dict[str, Any] = {
            "verify": ca or True,
            "cert": (cert, key) if cert and key else None,
        }
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            reply = requests.request(
                method, url, data=body, headers=headers, timeout=timeout_s, **tls
            )
        except requests.RequestException as error:
            raise _NoAnswer(type(error).__name__) from error
        return reply.status_code, reply.content


def find_own(members: Iterable[Member], own_name: str, addresses: Collection[str]) -> Member | None:
    """Return the member on this host. Loopback addresses do not count: every host has them."""
    for member in members:
        if own_name != "auto":
            if member.name == own_name:
                return member
            continue
        urls = (*member.client_urls, *member.peer_urls)
        if any((urlsplit(url).hostname or "") in addresses for url in urls):
            return member
    return None
