"""A store with users and roles, and requests with credentials."""

import json
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

ROOT = "root:rootpw"
ALICE = "alice:alicepw"


@dataclass
class Reply:
    """A response of any status."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def call(  # noqa: PLR0913 - one parameter a part of the request
    url: str, method: str, path: str, *, user: str = "", token: str = "", body: object = None
) -> Reply:
    """Send a request on a connection of its own; `body` is a form if it is text, else JSON."""
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    if isinstance(body, str):
        headers, data = {"Content-Type": "application/x-www-form-urlencoded"}, body.encode()
    if user:
        headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{url}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as reply:
            return Reply(reply.status, reply.read().decode(), dict(reply.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read().decode(), dict(error.headers))


def done(reply: Reply) -> Reply:
    """Return a response that is no error."""
    assert reply.status < 300, reply
    return reply


def secure(url: str) -> None:
    """Make root and alice, who may use /app; let nobody else see more than facts; enable."""
    guest = {"role": "guest", "permissions": {"kv": {}, "cluster": ["info"]}}
    app = {"role": "app", "permissions": {"kv": {"read": ["/app/*"], "write": ["/app/*"]}}}
    for role in (guest, app):
        done(call(url, "PUT", f"/v2/auth/roles/{role['role']}", body=role))
    for user, roles in ((ROOT, []), (ALICE, ["app"])):
        name, _, password = user.partition(":")
        made = {"user": name, "password": password, "roles": roles}
        done(call(url, "PUT", f"/v2/auth/users/{name}", body=made))
    done(call(url, "PUT", "/v2/auth/enable"))


def token_of(url: str, user: str = "", token: str = "", **asked: object) -> str:
    """Ask for a token."""
    reply = done(call(url, "POST", "/v2/auth/token", user=user, token=token, body=asked))
    return str(reply.body["token"])
