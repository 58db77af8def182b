"""Requests to a cluster, with etcdctl's rules about which server to ask and when to give up."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec

from coordinator.client import BadRequest, Tls
from coordinator.client.core.endpoint import Endpoint, parse
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.http_client import AUTH, MEMBERS, HttpClient, OpenResponse
from coordinator.core.ctl.auth_results import IssuedToken
from coordinator.core.ctl.render import go_json
from coordinator.core.ctl.results import ErrorResult, KeyResult, MemberInfo, MemberList
from coordinator.ctl.exit_codes import BAD_CONNECTION, SERVER_ERROR, fail
from daemonkit.host.terminal import echo
from daemonkit.options import Failure

# A long poll is sent again this often, to notice a server that went away without closing it.
QUIET_S = 60.0


NEW_TOKEN = HttpRequest(
    "POST", f"{AUTH}/token", json=b"{}", headers={"Content-Type": "application/json"}
)
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ClusterUnreachable(Exception):  # noqa: N818 - what happened
    """No endpoint could serve. `connection` says that none of them accepted a connection."""

    def __init__(self, reasons: list[str], *, connection: bool) -> None:
        text = "; ".join(reasons)
        super().__init__(f"the cluster is unavailable or --endpoints is wrong: {text}")
        self.connection = connection


class FetchFailed(Exception):  # noqa: N818 - what happened
    """A URL could not be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The body at a URL, and when the server's certificate ends (Unix time; None without TLS)."""

    body: bytes
    certificate_end_s: float | None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How to reach a cluster, and how long to try."""

    endpoints: tuple[Endpoint, ...]
    tls: Tls
    timeout_s: float
    total_s: float
    debug: bool = False
    as_json: bool = False


class ApiClient:
    """The servers of one cluster. A request that fails ends the program with etcdctl's code."""

    def __init__(self, settings: ClientSettings) -> None:
        self.endpoints = settings.endpoints
        self._settings = settings
        self._http = HttpClient(settings.tls)
        self._token: str | None = None
        self._end_s = time.monotonic() + settings.total_s

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def sync(self) -> None:
        """Use the URLs that the members publish from now on."""
        if any(endpoint.socket_path for endpoint in self.endpoints):
            return  # no other URL gives root its rights
        self._debug(f"start to sync cluster using endpoints({self._urls()})")
        try:
            response, body = self._exchange(HttpRequest("GET", MEMBERS))
            if response.status in _REFUSALS:
                return  # a user may have rights to keys, and none to the members
            members = msgspec.json.decode(body, type=MemberList).members
        except ClusterUnreachable as failure:
            if failure.connection:
                self.fail(failure, BAD_CONNECTION)
            return
        urls = [url for member in members for url in member.client_urls]
        if not urls:
            reason = f"the members publish no client URLs: --no-sync keeps to {self._urls()}"
            self.fail(reason, SERVER_ERROR)
        auth = self.endpoints[0].auth
        self.endpoints = tuple(replace(found, auth=auth) for found in parse(urls))
        self._debug(f"got endpoints({self._urls()}) after sync")

    def members(self) -> tuple[MemberInfo, ...]:
        """Return the members. Raises ClusterUnreachable."""
        return msgspec.json.decode(self._facts(MEMBERS), type=MemberList).members

    def leader(self) -> MemberInfo:
        """Return the leader. Raises ClusterUnreachable."""
        return msgspec.json.decode(self._facts("/v2/members/leader"), type=MemberInfo)

    def ask(self, request: HttpRequest) -> tuple[KeyResult, int]:
        """Return the result of a request about a key, and the cluster's index."""
        try:
            return self._result(*self._exchange(request))
        except ClusterUnreachable as failure:
            self.fail(failure, SERVER_ERROR)

    def change(self, request: HttpRequest) -> tuple[int, bytes]:
        """Return the status and body of a change of the cluster. Raises ClusterUnreachable."""
        response, body = self._exchange(request)
        return response.status, body

    def wait(self, request: HttpRequest) -> tuple[KeyResult | None, int]:
        """Return the event that a long poll waits for, None if it ended without one."""
        self._end_s = time.monotonic() + QUIET_S
        try:
            response = self._first_response(request, QUIET_S)
        except ClusterUnreachable as failure:
            self.fail(failure, SERVER_ERROR)
        try:
            body = response.read()
        except EndpointFailed:
            body = b""
        return self._result(response, body) if body.strip() else (None, _index(response))

    def stream(self, request: HttpRequest) -> Iterator[bytes]:
        """Yield the body of a response as it comes, of any length. Raises ClusterUnreachable."""
        self._end_s = time.monotonic() + QUIET_S
        response = self._first_response(request, QUIET_S)
        try:
            yield from response.chunks()
        except EndpointFailed as failure:
            reasons = [f"the response was cut short: {failure}"]
            raise ClusterUnreachable(reasons, connection=False) from failure

    def elsewhere(self, url: str, *, again: bool = False) -> tuple[Endpoint, dict[str, str]]:
        """Return a member's URL, and fields, with the rights that the first endpoint gives.

        Those of root on a Unix socket are in a token, which `again` asks for again. Raises
        BadRequest.
        """
        parts, first = urlsplit(url), self.endpoints[0]
        (endpoint,) = parse([f"{parts.scheme}://{parts.netloc}"])
        if not first.socket_path:
            return replace(endpoint, auth=first.auth), {}
        if self._token is None or again:
            self._token = self._new_token()
        return endpoint, {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def stream_from(
        self, endpoint: Endpoint, request: HttpRequest, silence_s: float = QUIET_S
    ) -> Iterator[bytes]:
        """Yield what one server answers as it comes. Raises ClusterUnreachable."""
        self._debug(_curl(endpoint, request))
        try:
            response = self._http.send(endpoint, request, silence_s)
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise ClusterUnreachable(
                    [f"{endpoint} answers {response.status}: {_reason(response.read())}"],
                    connection=False,
                )
            yield from response.chunks()
        except EndpointFailed as failure:
            connection = not failure.answered
            raise ClusterUnreachable([f"{endpoint} {failure}"], connection=connection) from failure

    def get(self, url: str) -> Fetched:
        """Return what is at a URL, whatever its status. Raises FetchFailed."""
        self._debug(f"cURL Command: curl -X GET {url}")
        try:
            endpoint, fields = self.elsewhere(url)
        except BadRequest as error:
            raise FetchFailed(str(error)) from error
        request = HttpRequest("GET", urlsplit(url).path or "/", headers=fields)
        return _get(self._http, endpoint, request, self._settings.total_s)

    def fail(self, reason: object, code: int) -> NoReturn:
        """End the program with a message in the output format that was chosen."""
        if not self._settings.as_json:
            fail(reason, code)
        shown = reason if isinstance(reason, ErrorResult) else {"message": str(reason)}
        echo(go_json(shown), err=True)
        raise Failure("", code)

    def _new_token(self) -> str:
        """Return a token of who asks; an empty text if the cluster gives none."""
        try:
            status, body = self.change(NEW_TOKEN)
        except ClusterUnreachable:
            return ""
        return msgspec.json.decode(body, type=IssuedToken).token if status == HTTPStatus.OK else ""

    def _facts(self, path: str) -> bytes:
        """Return what is known about the cluster; a refusal ends the program."""
        response, body = self._exchange(HttpRequest("GET", path))
        if response.status in _REFUSALS:
            self.fail(_reason(body), SERVER_ERROR)
        return body

    def _result(self, response: OpenResponse, body: bytes) -> tuple[KeyResult, int]:
        if response.status >= HTTPStatus.BAD_REQUEST:
            self.fail(msgspec.json.decode(body, type=ErrorResult), SERVER_ERROR)
        return msgspec.json.decode(body, type=KeyResult), _index(response)

    def _exchange(self, request: HttpRequest) -> tuple[OpenResponse, bytes]:
        response = self._first_response(request, self._settings.timeout_s)
        try:
            return response, response.read()
        except EndpointFailed as failure:
            raise ClusterUnreachable([str(failure)], connection=False) from failure

    def _first_response(self, request: HttpRequest, silence_s: float) -> OpenResponse:
        """Return the first response of an endpoint. A request with `once` is sent only once."""
        reasons, connection = [], True
        for endpoint in self.endpoints:
            left_s = self._end_s - time.monotonic()
            self._debug(_curl(endpoint, request))
            try:
                return self._http.send(endpoint, request, max(0.1, min(silence_s, left_s)))
            except EndpointFailed as failure:
                reasons.append(f"{endpoint} {failure}")
                connection = connection and not failure.answered
                if request.once and failure.seen:
                    reasons.append("whether the request took effect is unknown")
                    break
        raise ClusterUnreachable(reasons, connection=connection)

    def _urls(self) -> str:
        return ",".join(map(str, self.endpoints))

    def _debug(self, line: str) -> None:
        if self._settings.debug:
            echo(line, err=True)


def _reason(body: bytes) -> ErrorResult | str:
    try:
        return msgspec.json.decode(body, type=ErrorResult)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace")[:200].strip()


def fetch(url: str, tls: Tls, timeout_s: float) -> bytes:
    """Return the body at a URL, whatever its status. Raises FetchFailed."""
    parts, http = urlsplit(url), HttpClient(tls)
    try:
        (endpoint,) = parse([f"{parts.scheme}://{parts.netloc}"])
        return _get(http, endpoint, HttpRequest("GET", parts.path or "/"), timeout_s).body
    except BadRequest as error:
        raise FetchFailed(str(error)) from error
    finally:
        http.close()


def _get(http: HttpClient, endpoint: Endpoint, request: HttpRequest, timeout_s: float) -> Fetched:
    try:
        response = http.open(endpoint, request, timeout_s)
        end_s = response.certificate_end_s()
        return Fetched(response.read(), end_s)
    except EndpointFailed as failure:
        raise FetchFailed(str(failure).removeprefix("fails: ")) from failure


def _index(response: OpenResponse) -> int:
    return int(response.headers.get("X-Etcd-Index", 0))


def _curl(endpoint: Endpoint, request: HttpRequest) -> str:
    query = f"?{urlencode(request.params)}" if request.params else ""
    form = f' -d "{urlencode(request.form)}"' if request.form else ""
    return f"cURL Command: curl -X {request.method} {endpoint}{request.path}{query}{form}"
