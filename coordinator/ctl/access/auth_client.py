"""Requests to the auth API, which answers errors in a form of its own."""

from http import HTTPStatus
from typing import NoReturn, TypeVar

import msgspec

from coordinator.client.core.http_request import HttpRequest
from coordinator.core.ctl.auth_results import AuthMessage
from coordinator.core.ctl.render import go_json
from coordinator.ctl.api_client import ApiClient, ClusterUnreachable
from coordinator.ctl.exit_codes import BAD_CONNECTION, SERVER_ERROR, fail_plainly
from coordinator.ctl.invocation import Invocation
from daemonkit.host.terminal import echo
from daemonkit.options import Failure

AUTH = "/v2/auth"
USERS = f"{AUTH}/users"
ROLES = f"{AUTH}/roles"
_JSON = {"Content-Type": "application/json"}
T = TypeVar("T")


class AuthApi:
    """The auth API of one cluster. What is refused ends the program as in etcdctl."""

    def __init__(self, invocation: Invocation) -> None:
        self.as_json = invocation.as_json
        self.client: ApiClient = invocation.client()

    def ask(self, path: str, form: type[T]) -> T:
        """Return what is at a path."""
        body = self._send(HttpRequest("GET", path))
        try:
            return msgspec.json.decode(body, type=form)
        except msgspec.DecodeError as error:
            self.fail(f"GET {path}: the answer has another form: {error}")

    def change(
        self, method: str, path: str, content: object = None, *, once: bool = False
    ) -> bytes:
        """Make a change. Without `once`, it may be made twice: it says how something shall be."""
        body = None if content is None else msgspec.json.encode(content)
        headers = _JSON if body is not None else {}
        return self._send(HttpRequest(method, path, once=once, json=body, headers=headers))

    def say(self, text: str, **about: object) -> None:
        """Print what was done."""
        echo(go_json(about) if self.as_json else text)

    def fail(self, reason: object) -> NoReturn:
        """End the program with an error."""
        if not self.as_json:
            fail_plainly(reason)
        echo(go_json({"message": str(reason)}), err=True)
        raise Failure("", 1)

    def _send(self, request: HttpRequest) -> bytes:
        try:
            status, body = self.client.change(request)
        except ClusterUnreachable as failure:
            code = BAD_CONNECTION if failure.connection else SERVER_ERROR
            self.client.fail(failure, code)
        if status >= HTTPStatus.BAD_REQUEST:
            try:
                reason = str(msgspec.json.decode(body, type=AuthMessage))
            except (msgspec.DecodeError, UnicodeDecodeError):
                reason = ""
            self.fail(reason or f"{request}: {status}")
        return body
