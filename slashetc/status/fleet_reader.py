"""Reads the members of the store, the keys of the fleet, and the daemons of this host.

No server is waited for longer than the others: what has not come in time is said to be away.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from coordinator.client.core import v2_responses
from coordinator.client.core.endpoint import Endpoint, parse
from coordinator.client.core.errors import BadRequest
from coordinator.client.core.http_request import EndpointFailed
from coordinator.client.core.json_lines import MalformedResponse
from coordinator.client.core.store_protocol import Entry
from coordinator.client.http.http_client import HttpClient
from coordinator.client.http.tls_files import Tls
from slashetc.core.status.documents import PREFIXES
from slashetc.core.status.reading import FORBIDDEN, MemberReading, Reading
from slashetc.status import local_host
from slashetc.status.member_client import ListedMember, MemberClient, refusal
from slashetc.status.parallel import in_parallel

SILENT = "does not answer in time"
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is, and the credentials for it."""

    endpoints: tuple[Endpoint, ...]
    tls: Tls


class FleetReader:
    """Reads again and again, with the same connections.

    `timeout_s` bounds each of four steps: finding the members, their answers, the keys, this host.
    """

    def __init__(
        self,
        store: StoreAddress,
        timeout_s: float,
        *,
        directory: Path = local_host.DIRECTORY,
        ports: Mapping[str, int] = local_host.STATUS_PORTS,
    ) -> None:
        self._endpoints = store.endpoints
        self._client = HttpClient(store.tls)
        self._member_client = MemberClient(self._client, timeout_s)
        self._timeout_s = timeout_s
        self._directory = directory
        self._ports = ports

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self) -> Reading:
        """Return everything that answers in time."""
        found: dict[Endpoint, tuple[ListedMember, ...] | str] = dict.fromkeys(
            self._endpoints, SILENT
        )
        found |= in_parallel(
            {each: partial(self._members, each) for each in self._endpoints},
            self._timeout_s,
            lambda said: not isinstance(said, str),
        )
        listed = next((said for said in found.values() if not isinstance(said, str)), ())
        readings = self.members(listed)
        answering = [each for each, said in found.items() if not isinstance(said, str)]
        answering += [
            url for each in readings if not each.error for url in self._as_endpoints(each.urls)
        ]
        quorum = any(each.healthy or "ALARM" in each.reason for each in readings)
        entries, refused = self._keys(tuple(dict.fromkeys(answering)), quorum=quorum)
        return Reading(
            now_s=time.time(),
            endpoints=tuple(map(str, self._endpoints)),
            errors={str(each): said for each, said in found.items() if isinstance(said, str)},
            members=readings,
            entries=entries,
            refused=refused,
            stale=bool(answering) and not quorum,
            daemons=local_host.daemons(self._ports, self._client),
            certificates=local_host.certificate_ends(self._directory),
        )

    def _members(self, endpoint: Endpoint) -> tuple[ListedMember, ...] | str:
        try:
            return self._member_client.members(endpoint)
        except EndpointFailed as failure:
            return str(failure)

    def members(self, members: Sequence[ListedMember]) -> tuple[MemberReading, ...]:
        """Ask each member."""
        calls = {each.id: partial(self._read_member, each) for each in members}
        found = in_parallel(calls, self._timeout_s)
        return tuple(
            found.get(each.id)
            or MemberReading(
                each.id, each.name, each.client_urls, each.peer_urls, each.learner, SILENT
            )
            for each in members
        )

    def _read_member(self, member: ListedMember) -> MemberReading:
        return self._member_client.read(member, self._endpoints[0].auth)

    def _as_endpoints(self, urls: Sequence[str]) -> Iterator[Endpoint]:
        for url in urls:
            with contextlib.suppress(BadRequest):
                yield replace(parse([url])[0], auth=self._endpoints[0].auth)

    def _keys(
        self, answering: Sequence[Endpoint], *, quorum: bool
    ) -> tuple[dict[str, tuple[Entry, ...]], dict[str, str]]:
        calls: dict[str, Callable[[], tuple[Entry, ...] | str]] = {
            prefix: partial(self._list, answering, prefix, quorum=quorum)
            for prefix in (PREFIXES if answering else ())
        }
        found = dict.fromkeys(calls, SILENT) | in_parallel(calls, self._timeout_s)
        return (
            {prefix: said for prefix, said in found.items() if not isinstance(said, str)},
            {prefix: said for prefix, said in found.items() if isinstance(said, str)},
        )

    def _list(
        self, answering: Sequence[Endpoint], prefix: str, *, quorum: bool
    ) -> tuple[Entry, ...] | str:
        reasons = []
        for endpoint in answering:
            try:
                return self._list_at(endpoint, prefix, quorum=quorum)
            except EndpointFailed as failure:
                reasons.append(f"{endpoint} {failure}")
        return "; ".join(reasons)

    def _list_at(self, endpoint: Endpoint, prefix: str, *, quorum: bool) -> tuple[Entry, ...] | str:
        """Return the keys, or why they may not be read. Raises EndpointFailed."""
        params = {"recursive": "true", **({"quorum": "true"} if quorum else {})}
        answer = self._member_client.get(endpoint, f"/v2/keys{prefix}", **params)
        if answer.status == _UNAUTHORIZED:
            return FORBIDDEN
        try:
            response = v2_responses.decode(answer.body)
        except MalformedResponse:
            raise EndpointFailed(refusal(answer), seen=True) from None
        if response.error_code in v2_responses.MISSING_CODES:
            return ()
        if response.error_code:
            raise EndpointFailed(response.reason(), seen=True)
        return tuple(response.node.files())
