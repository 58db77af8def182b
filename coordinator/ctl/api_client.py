"""Requests to a cluster, with etcdctl's rules about which server to ask and when to give up."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import urlencode

import msgspec
import requests
import typer

from coordinator.client import Tls
from coordinator.client.core.endpoint import Endpoint, parse
from coordinator.client.http.http_client import EndpointFailed, Exchange, Request, chunks, read
from coordinator.core.ctl.render import Answer, Member, Members, Refusal, go_json
from coordinator.ctl.exit_codes import BAD_CONNECTION, SERVER_ERROR, give_up
from daemonkit.options import Failure

# A server that went away without a word is noticed by asking again this often.
QUIET_S = 60.0


class Unreachable(Exception):  # noqa: N818 - what happened
    """No endpoint could serve. `connection`: there was nobody to talk to at any of them."""

    def __init__(self, reasons: list[str], *, connection: bool) -> None:
        told = "; ".join(reasons)
        super().__init__(f"the cluster is unavailable or --endpoints is wrong: {told}")
        self.connection = connection


class PageFailed(Exception):  # noqa: N818 - what happened
    """A page could not be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a cluster, and how long to try."""

    endpoints: tuple[Endpoint, ...]
    tls: Tls
    timeout_s: float
    total_s: float
    debug: bool = False
    as_json: bool = False


def with_user(endpoints: tuple[Endpoint, ...], username: str) -> tuple[Endpoint, ...]:
    """Return the endpoints with `name:password`; ask the terminal for a password not given."""
    name, colon, password = username.partition(":")
    if not colon:
        password = typer.prompt("Password", hide_input=True, err=True)
    auth = name.encode(), password.encode()
    return tuple(replace(endpoint, auth=auth) for endpoint in endpoints)


class Cluster:
    """The servers of one cluster. What it cannot do ends the program with etcdctl's code."""

    def __init__(self, access: Access) -> None:
        self.endpoints = access.endpoints
        self._access = access
        self._exchange = Exchange(access.tls)
        self._end_s = time.monotonic() + access.total_s

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()

    def sync(self) -> None:
        """Use the URLs that the members publish from now on."""
        self._tell(f"start to sync cluster using endpoints({self._urls()})")
        try:
            members = self.members()
        except Unreachable as failure:
            if failure.connection:
                self.give_up(failure, BAD_CONNECTION)
            return
        urls = [url for member in members for url in member.client_urls]
        if not urls:
            told = f"the members publish no client URLs: --no-sync keeps to {self._urls()}"
            self.give_up(told, SERVER_ERROR)
        auth = self.endpoints[0].auth
        self.endpoints = tuple(replace(found, auth=auth) for found in parse(urls))
        self._tell(f"got endpoints({self._urls()}) after sync")

    def members(self) -> tuple[Member, ...]:
        """Return the members. Raises Unreachable."""
        _, body = self._whole(Request("GET", "/v2/members"))
        return msgspec.json.decode(body, type=Members).members

    def leader(self) -> Member:
        """Return the leading member. Raises Unreachable."""
        _, body = self._whole(Request("GET", "/v2/members/leader"))
        return msgspec.json.decode(body, type=Member)

    def ask(self, request: Request) -> tuple[Answer, int]:
        """Return the answer to a request about a key, and the cluster's index."""
        try:
            return self._judged(*self._whole(request))
        except Unreachable as failure:
            self.give_up(failure, SERVER_ERROR)

    def change(self, request: Request) -> tuple[int, bytes]:
        """Return the status and body of a change of the cluster. Raises Unreachable."""
        response, body = self._whole(request)
        return response.status_code, body

    def wait(self, request: Request) -> tuple[Answer | None, int]:
        """Return the event that the request waits for, None when the wait ended without one."""
        self._end_s = time.monotonic() + QUIET_S
        try:
            response = self._first(request, QUIET_S)
        except Unreachable as failure:
            self.give_up(failure, SERVER_ERROR)
        try:
            body = read(response)
        except EndpointFailed:
            body = b""
        return self._judged(response, body) if body.strip() else (None, _index(response))

    def stream(self, request: Request) -> Iterator[bytes]:
        """Yield the body of an answer as it comes, however long it is. Raises Unreachable."""
        self._end_s = time.monotonic() + QUIET_S
        response = self._first(request, QUIET_S)
        try:
            yield from chunks(response)
        except EndpointFailed as failure:
            raise Unreachable([f"the answer was cut: {failure}"], connection=False) from failure

    def get(self, url: str) -> bytes:
        """Return the body at a URL, whatever its status. Raises PageFailed."""
        self._tell(f"cURL Command: curl -X GET {url}")
        return page(url, self._access.tls, self._access.total_s)

    def give_up(self, reason: object, code: int) -> NoReturn:
        """End with a message in the form that was asked for."""
        if not self._access.as_json:
            give_up(reason, code)
        told = reason if isinstance(reason, Refusal) else {"message": str(reason)}
        typer.echo(go_json(told), err=True)
        raise Failure("", code)

    def _judged(self, response: requests.Response, body: bytes) -> tuple[Answer, int]:
        if response.status_code >= requests.codes.bad_request:
            self.give_up(msgspec.json.decode(body, type=Refusal), SERVER_ERROR)
        return msgspec.json.decode(body, type=Answer), _index(response)

    def _whole(self, request: Request) -> tuple[requests.Response, bytes]:
        response = self._first(request, self._access.timeout_s)
        try:
            return response, read(response)
        except EndpointFailed as failure:
            raise Unreachable([str(failure)], connection=False) from failure

    def _first(self, request: Request, silence_s: float) -> requests.Response:
        """Return the first answer that an endpoint gives; what may be done once is sent once."""
        reasons, connection = [], True
        for endpoint in self.endpoints:
            left_s = self._end_s - time.monotonic()
            self._tell(_curl(endpoint, request))
            try:
                return self._exchange.send(endpoint, request, max(0.1, min(silence_s, left_s)))
            except EndpointFailed as failure:
                reasons.append(f"{endpoint} {failure}")
                connection = connection and failure.__cause__ is not None
                if request.once and failure.seen:
                    reasons.append("whether the request took effect is unknown")
                    break
        raise Unreachable(reasons, connection=connection)

    def _urls(self) -> str:
        return ",".join(map(str, self.endpoints))

    def _tell(self, line: str) -> None:
        if self._access.debug:
            typer.echo(line, err=True)


def page(url: str, tls: Tls, timeout_s: float) -> bytes:
    """Return the body at a URL, whatever its status. Raises PageFailed."""
    with requests.Session() as session:
        # Nor does a tool of a host follow a user's proxy variables and ~/.netrc.
        session.trust_env = False
        try:
            return session.get(
                url,
                timeout=timeout_s,
                verify=tls.ca_file or True,
                cert=(tls.cert_file, tls.key_file) if tls.cert_file else None,
            ).content
        except requests.RequestException as error:
            raise PageFailed(_why(error)) from error


def _why(error: BaseException) -> str:
    if isinstance(error, requests.Timeout):
        return "does not answer in time"
    root = error
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    return root.strerror if isinstance(root, OSError) and root.strerror else str(root)


def _index(response: requests.Response) -> int:
    return int(response.headers.get("X-Etcd-Index", 0))


def _curl(endpoint: Endpoint, request: Request) -> str:
    query = f"?{urlencode(request.params)}" if request.params else ""
    form = f' -d "{urlencode(request.form)}"' if request.form else ""
    return f"cURL Command: curl -X {request.method} {endpoint}{request.path}{query}{form}"
