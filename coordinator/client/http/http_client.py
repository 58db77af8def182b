"""One request to one endpoint, and the judgement whether that endpoint can serve at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError

from coordinator.client.core import v2_responses
from coordinator.client.core.endpoint import Endpoint, Tls

CONNECT_S = 3.0
# A v2 server gives up a write after 5 s and two election timeouts: 7 s unless configured.
ANSWER_S = 10.0
# Connections kept open for threads that talk at the same time.
CONNECTIONS_MAX = 16
NO_V2_API = "serves no v2 API: start etcd (2.1 to 3.5) with --enable-v2, or ask it by the v3 API"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    `extensions` are parameters that only our coordinator knows. `once` forbids to repeat the
    request after a server may have seen it.
    """

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    extensions: dict[str, str] = field(default_factory=dict)
    once: bool = False
    json: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class EndpointFailed(Exception):  # noqa: N818 - what happened, never shown by this name
    """This endpoint cannot serve; `seen` says that the request may have had its effect."""

    def __init__(self, reason: str, *, seen: bool) -> None:
        super().__init__(reason)
        self.seen = seen


class Silent(EndpointFailed):
    """Nothing came for as long as the caller would wait."""


class Exchange:
    """Connections to any endpoint. Thread-safe."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        # requests promises threads nothing about Session; its adapter is a locked pool. Nor
        # does an agent of a host follow a user's proxy variables and ~/.netrc, as Session does.
        self._adapter = HTTPAdapter(pool_maxsize=CONNECTIONS_MAX)

    def close(self) -> None:
        """Close pooled connections."""
        self._adapter.close()

    def send(self, endpoint: Endpoint, request: Request, silence_s: float) -> requests.Response:
        """Return the answer once its headers are here, its body still to be read or closed.

        No read waits longer than `silence_s`. EndpointFailed unless a v2 API answers.
        """
        response = self.open(endpoint, request, silence_s)
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            with response, _failures():
                _judge(response)
        return response

    def open(self, endpoint: Endpoint, request: Request, silence_s: float) -> requests.Response:
        """Return whatever answers, as `send` does, without a look at it."""
        # The v3 API has tokens of its own in the place of a name and a password.
        user = endpoint.auth if request.json is None else None
        with _failures():
            prepared = requests.Request(
                request.method,
                f"{endpoint.url}{request.path}",
                params=request.params,
                data=request.form if request.json is None else request.json,
                headers=request.headers,
                auth=user and HTTPBasicAuth(*user),
            ).prepare()
            return self._adapter.send(
                prepared,
                stream=True,
                timeout=(CONNECT_S, silence_s),
                verify=self._tls.ca_file or True,
                cert=(self._tls.cert_file, self._tls.key_file) if self._tls.cert_file else None,
            )


def read(response: requests.Response) -> bytes:
    """Return the rest of the answer, giving the connection back."""
    with response, _failures():
        return response.content


def chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the answer's bytes as they come."""
    with response, _failures():
        yield from response.iter_content(None)


def hang_up(response: requests.Response) -> None:
    """End the answer for the thread that reads it, also where it waits for the network."""
    # Finished, closed or given back to the pool meanwhile: nothing waits there.
    with suppress(OSError, ValueError, RuntimeError):
        response.raw.shutdown()


def _judge(response: requests.Response) -> None:
    """Let an error of the v2 API pass; fail the endpoint for anything else."""
    if response.is_redirect:
        raise EndpointFailed(f"redirects to {response.headers['Location']}", seen=False)
    by_server = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    try:
        answer = v2_responses.decode(response.content)
    except v2_responses.Malformed:
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise EndpointFailed(NO_V2_API, seen=False) from None
        reason = response.text[:200].strip()
    else:
        if answer.error_code and not by_server:
            return
        reason = answer.reason()
    raise EndpointFailed(f"answers {response.status_code}: {reason}", seen=by_server)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # all that requests raises is one
        kind = Silent if _is_silence(error) else EndpointFailed
        raise kind(_why(error), seen=not _is_unsent(error)) from error


def _is_unsent(error: OSError) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _is_silence(error: OSError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ReadTimeout) or isinstance(cause, ReadTimeoutError)


def _why(error: BaseException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"takes no connection within {CONNECT_S:g} s"
    if isinstance(error, requests.ReadTimeout):
        return "takes the request and does not answer in time"
    root = error
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    text = root.strerror if isinstance(root, OSError) and root.strerror else str(root)
    return f"fails: {text or type(root).__name__}"
