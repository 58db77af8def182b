"""What one member of the store says of itself, over HTTP."""

import email.utils
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from coordinator.client.core.endpoint import Endpoint, parse
from coordinator.client.core.errors import BadRequest
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.http_client import HttpClient
from slashetc.core.status.reading import ClockOffset, MemberReading

SILENCE_S = 2.0
# Any key: the answer's head says how far the member has come.
_ANY_KEY = "/v2/keys/slashetc"
_ROLES = {"StateLeader": "leader", "StateFollower": "follower", "StateLearner": "learner"}
T = TypeVar("T", bound=msgspec.Struct)


class ListedMember(msgspec.Struct, frozen=True):
    """A member, as `/v2/members` lists it."""

    id: str
    name: str = ""
    peer_urls: tuple[str, ...] = msgspec.field(default=(), name="peerURLs")
    client_urls: tuple[str, ...] = msgspec.field(default=(), name="clientURLs")
    learner: bool = msgspec.field(default=False, name="isLearner")
    version: str = ""


class _MembersPage(msgspec.Struct, frozen=True):
    members: tuple[ListedMember, ...]


class _Leader(msgspec.Struct, frozen=True):
    leader: str = ""


class _Self(msgspec.Struct, frozen=True, rename="camel"):
    state: str = ""
    leader_info: _Leader = _Leader()
    certificates: dict[str, float] = {}


class _Version(msgspec.Struct, frozen=True):
    coordinator: str = ""
    etcdserver: str = ""
    cluster: str = ""


class _MemberHealth(msgspec.Struct, frozen=True):
    health: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The whole answer to a GET, and between which moments of our clock it was made."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    sent_s: float
    came_s: float


class MemberClient:
    """Sends GETs. Thread-safe."""

    def __init__(self, client: HttpClient, silence_s: float = SILENCE_S) -> None:
        self._client = client
        self._silence_s = silence_s

    def get(self, endpoint: Endpoint, path: str, **params: str) -> HttpAnswer:
        """Return the answer of any status. Raises EndpointFailed without one."""
        request = HttpRequest("GET", path, params)
        sent_s = time.time()
        try:
            response = self._client.open(endpoint, request, self._silence_s)
        except OSError as error:  # of ssl, about our own files
            reason = f"cannot be asked with --ca-file, --cert-file and --key-file: {error}"
            raise EndpointFailed(reason, seen=False, answered=False) from error
        came_s = time.time()
        headers = {name.lower(): value for name, value in response.headers.items()}
        # It gives the connection back.
        return HttpAnswer(response.status, response.read(), headers, sent_s, came_s)

    def members(self, endpoint: Endpoint) -> tuple[ListedMember, ...]:
        """Return the members that an endpoint knows. Raises EndpointFailed."""
        answer = self.get(endpoint, "/v2/members")
        if answer.status != 200:
            raise EndpointFailed(refusal(answer), seen=True)
        try:
            return msgspec.json.decode(answer.body, type=_MembersPage).members
        except (msgspec.MsgspecError, UnicodeError):
            raise EndpointFailed("is no member of a store", seen=True) from None

    def read(self, member: ListedMember, auth: tuple[bytes, bytes] | None) -> MemberReading:
        """Ask a member at one of its URLs after the other."""
        known = MemberReading(
            member.id, member.name, member.client_urls, member.peer_urls, member.learner
        )
        if not member.client_urls:
            return replace(known, error="has never started: it publishes no URL")
        reasons = []
        for url in member.client_urls:
            try:
                return self._ask(replace(parse([url])[0], auth=auth), known)
            except (EndpointFailed, BadRequest) as error:
                reasons.append(str(error))
        return replace(known, error="; ".join(dict.fromkeys(reasons)))

    def _ask(self, endpoint: Endpoint, known: MemberReading) -> MemberReading:
        health = self.get(endpoint, "/health")
        stated = _decoded(self.get(endpoint, "/v2/stats/self"), _Self())
        version = _decoded(self.get(endpoint, "/version"), _Version())
        keys = self.get(endpoint, _ANY_KEY)
        said = _decoded(health, _MemberHealth(), status=health.status)
        index = keys.headers.get("x-etcd-index", "")
        return replace(
            known,
            healthy=said.health == "true",
            reason=said.reason,
            role=_ROLES.get(stated.state, ""),
            leader=stated.leader_info.leader,
            index=int(index) if index.isascii() and index.isdigit() else 0,
            version=version.coordinator or version.etcdserver,
            cluster_version=version.cluster,
            certificates=stated.certificates,
            clock=clock_offset([health, keys]),
        )


def refusal(answer: HttpAnswer) -> str:
    """Say why a request was not answered with what it asked for."""
    try:
        document = msgspec.json.decode(answer.body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError):
        return f"answers {answer.status}"
    words = [str(document[name]) for name in ("message", "cause") if document.get(name)]
    return f"answers {answer.status}: {': '.join(words)}" if words else f"answers {answer.status}"


def clock_offset(answers: Sequence[HttpAnswer]) -> ClockOffset | None:
    """Return how far the clock of who answered is ahead of ours, from its Date fields.

    A Date is cut to seconds: it stands for any moment from itself to a second later.
    """
    low, high = float("-inf"), float("inf")
    for each in answers:
        try:
            date = email.utils.parsedate_to_datetime(each.headers.get("date", ""))
        except (TypeError, ValueError):
            continue
        low = max(low, date.timestamp() - each.came_s)
        high = min(high, date.timestamp() + 1 - each.sent_s)
    return ClockOffset(low, high) if low <= high and high != float("inf") else None


def _decoded(answer: HttpAnswer, default: T, status: int = 200) -> T:
    if answer.status != status:
        return default
    try:
        return msgspec.json.decode(answer.body, type=type(default))
    except (msgspec.MsgspecError, UnicodeError):
        return default
