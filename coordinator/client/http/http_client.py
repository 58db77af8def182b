"""One request to one endpoint, and the judgement whether that endpoint can serve at all."""

import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import Self
from urllib.parse import quote

from coordinator.client.core import v2_responses
from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.http_request import (
    EndpointFailed,
    EndpointRefused,
    EndpointSilent,
    HttpRequest,
)
from coordinator.client.core.json_lines import MalformedResponse
from coordinator.client.http.connection_pool import CONNECT_S, ConnectionPool
from coordinator.client.http.failure_text import failure_text
from coordinator.client.http.tls_files import Tls

# A v2 server gives up a write after 5 s and two election timeouts: 7 s unless configured.
ANSWER_S = 10.0
NO_V2_API = (
    "serves no v2 API: write the client URL of a member, such as http://127.0.0.1:2379; "
    "an etcd (2.1 to 3.5) serves it with --enable-v2"
)
CHUNK_BYTES_MAX = 2**20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
MEMBERS = "/v2/members"
AUTH = "/v2/auth"
_V3 = "/v3/"
_FORM = "application/x-www-form-urlencoded"


class OpenResponse:
    """A response whose headers are here, and whose body is still to be read or closed.

    One thread reads; any thread may interrupt it.
    """

    def __init__(
        self, endpoint: Endpoint, connection: HTTPConnection, pool: ConnectionPool
    ) -> None:
        # http.client takes the socket from its connection when the server will close it.
        self._socket = connection.sock
        self._raw = connection.getresponse()
        self._endpoint = endpoint
        self._connection = connection
        self._pool = pool
        self._body: bytes | None = None
        self.status = self._raw.status
        self.headers = self._raw.headers

    def read(self) -> bytes:
        """Return the whole body, and let the next request have the connection."""
        if self._body is None:
            with self, _failures(self._endpoint):
                self._body = self._raw.read()
        return self._body

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        with self, _failures(self._endpoint):
            while chunk := self._raw.read1(CHUNK_BYTES_MAX):
                yield chunk
            if self._raw.length:
                raise IncompleteRead(b"", self._raw.length)

    def certificate_end_s(self) -> float | None:
        """Return when the server's certificate ends (Unix time); None without TLS."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return None
        end = (self._socket.getpeercert() or {}).get("notAfter")
        return ssl.cert_time_to_seconds(end) if isinstance(end, str) else None

    def is_outdated(self) -> bool:
        """Return whether the TLS files have been renewed since its connection was made."""
        return self._pool.is_outdated(self._connection)

    def interrupt(self) -> None:
        """End the response for the thread that reads it, also where it waits for the network."""
        with suppress(OSError):  # closed meanwhile: nothing waits there
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        if self._raw.isclosed() and not self._raw.will_close:
            self._pool.give_back(self._endpoint, self._connection)
        else:
            self._raw.close()
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HttpClient:
    """Sends requests to any endpoint. Thread-safe.

    With `bearer`, a token, the requests are those of its user.
    """

    def __init__(self, tls: Tls, bearer: str = "") -> None:
        self._pool = ConnectionPool(tls)
        self._bearer = bearer

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def send(self, endpoint: Endpoint, request: HttpRequest, silence_s: float) -> OpenResponse:
        """Send the request to a v2 API. EndpointFailed if the endpoint serves none.

        No read waits longer than `silence_s`.
        """
        response = self.open(endpoint, request, silence_s)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            changes_members = request.method != "GET" and request.path.startswith(MEMBERS)
            _judge(response, is_own=changes_members or request.path.startswith(AUTH))
        return response

    def open(self, endpoint: Endpoint, request: HttpRequest, silence_s: float) -> OpenResponse:
        """Send the request, and return any response. EndpointFailed if there is none."""
        connection = self._pool.take(endpoint)
        prefix = quote(endpoint.base_path, safe="/%")
        try:
            with _failures(endpoint):
                connection.sock.settimeout(CONNECT_S)
                connection.request(
                    request.method,
                    prefix + request.target(),
                    body=request.body(),
                    headers=_headers(endpoint, request, self._bearer),
                )
                connection.sock.settimeout(silence_s)
                return OpenResponse(endpoint, connection, self._pool)
        except BaseException:
            connection.close()
            raise


def _headers(endpoint: Endpoint, request: HttpRequest, bearer: str) -> dict[str, str]:
    headers = {"User-Agent": "slashetc"}
    if request.json is None and request.form is not None:
        headers["Content-Type"] = _FORM
    # On the v3 API the name and password are exchanged for a token.
    if endpoint.auth is not None and not request.path.startswith(_V3):
        headers["Authorization"] = f"Basic {b64encode(b':'.join(endpoint.auth)).decode()}"
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    headers |= request.headers
    return headers


def _judge(response: OpenResponse, *, is_own: bool) -> None:
    """Let an error of the v2 API pass; fail the endpoint for anything else.

    Changes of the members, users and roles are refused in a form of their own, without a code.
    """
    if response.status in _REDIRECTS and "Location" in response.headers:
        response.close()
        raise EndpointFailed(f"redirects to {response.headers['Location']}", seen=False)
    by_server = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    body = response.read()
    try:
        answer = v2_responses.decode(body)
    except MalformedResponse:
        if response.status == HTTPStatus.NOT_FOUND:
            raise EndpointFailed(NO_V2_API, seen=False) from None
        reason = body.decode(errors="replace")[:200].strip()
    else:
        if (answer.error_code or is_own) and not by_server:
            return
        reason = answer.reason()
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise EndpointRefused(f"answers {response.status}: {reason}", seen=False)
    raise EndpointFailed(f"answers {response.status}: {reason}", seen=by_server)


@contextmanager
def _failures(endpoint: Endpoint) -> Iterator[None]:
    """Turn what the network does to a request that was sent into EndpointFailed."""
    try:
        yield
    except TimeoutError as error:
        reason = "accepted the request but did not answer in time"
        raise EndpointSilent(reason, seen=True, answered=False) from error
    except (OSError, HTTPException) as error:
        reason = failure_text(error, endpoint.url)
        raise EndpointFailed(reason, seen=True, answered=False) from error
