"""A host that runs a member of the store: may it go, and does it lead?

Asked of etcd's v2 API: /v2/members, /v2/stats/self and /health of each member. Leadership is
moved by `POST /v2/members/leader` with {"id": ""} (any other), which the coordinator has; etcd
has no such call in its v2 API, there the next election moves it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

ASK_S = 5.0
# The coordinator elects within a second; etcd's default election takes one to two.
MOVE_S = 10.0

TlsFiles = tuple[str, str, str]  # CA, certificate, key; "" for none


class Member(msgspec.Struct, frozen=True):
    """One member, as /v2/members lists it."""

    id: str
    name: str = ""
    client_urls: tuple[str, ...] = msgspec.field(name="clientURLs", default=())
    peer_urls: tuple[str, ...] = msgspec.field(name="peerURLs", default=())


class _Listed(msgspec.Struct):
    members: tuple[Member, ...]


class Unknown(Exception):  # noqa: N818 - a fact, and a reason to stay
    """The members cannot be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Members:
    """The store's members as one look found them. `own` is None on a host without one."""

    all: tuple[Member, ...]
    own: Member | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Asks the members. `who` is a member's name, `auto` (by this host's addresses), or `no`."""

    endpoints: tuple[str, ...]
    who: str = "auto"
    addresses: frozenset[str] = frozenset()
    tls: TlsFiles = ("", "", "")

    def find(self) -> Members:
        """List the members and find the one on this host. Raises Unknown."""
        if self.who == "no":
            return Members((), None)
        why = "no endpoint is given"
        for endpoint in self.endpoints:
            try:
                reply = self._get(f"{endpoint}/v2/members")
                found = msgspec.json.decode(reply.content, type=_Listed).members
            except (requests.RequestException, msgspec.DecodeError) as error:
                why = f"{endpoint}: {type(error).__name__}"
                continue
            return Members(found, own_of(found, self.who, self.addresses))
        raise Unknown(f"store members cannot be listed: {why}")

    def objection(self, members: Members) -> str:
        """Return why this host's member must stay; "" when the others keep quorum."""
        if members.own is None:
            return ""
        others = [one for one in members.all if one.id != members.own.id]
        healthy = [one for one in others if self._is_healthy(one)]
        quorum = len(members.all) // 2 + 1
        if len(healthy) >= quorum:
            return ""
        return (
            f"store member {members.own.name}: {len(healthy)} of {len(others)} others are "
            f"healthy, a quorum is {quorum}"
        )

    def move_leadership(self, members: Members) -> str:
        """Hand leadership on if this host's member has it; return what happened, or ""."""
        own = members.own
        if own is None or not self._leads(own):
            return ""
        try:
            url = f"{own.client_urls[0]}/v2/members/leader"
            reply = requests.post(url, json={"id": ""}, timeout=MOVE_S, **self._tls_options())
        except requests.RequestException as error:
            return f"leadership not moved: {type(error).__name__}"
        if reply.ok:
            return "leadership moved"
        return f"leadership not moved, the others will elect: {reply.status_code} from the store"

    def _leads(self, member: Member) -> bool:
        try:
            state = self._get(f"{member.client_urls[0]}/v2/stats/self").json()
        except (requests.RequestException, ValueError, IndexError):
            return False
        return isinstance(state, dict) and state.get("state") == "StateLeader"

    def _is_healthy(self, member: Member) -> bool:
        for url in member.client_urls:
            try:
                self._get(f"{url}/health")
            except requests.RequestException:
                continue
            return True
        return False

    def _get(self, url: str) -> requests.Response:
        reply = requests.get(url, timeout=ASK_S, **self._tls_options())
        reply.raise_for_status()
        return reply

    def _tls_options(self) -> dict[str, Any]:
        ca, cert, key = self.tls
        return {
            "verify": ca or True,
            "cert": (cert, key) if cert and key else None,
        }


def own_of(members: Iterable[Member], who: str, addresses: Collection[str]) -> Member | None:
    """Return the member on this host. Loopback addresses say nothing: every host has them."""
    for member in members:
        if who != "auto":
            if member.name == who:
                return member
            continue
        urls = (*member.client_urls, *member.peer_urls)
        if any((urlsplit(url).hostname or "") in addresses for url in urls):
            return member
    return None
