"""Requests to a member or to etcd as one client or another."""

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

FORM = "application/x-www-form-urlencoded"
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body, parsed if it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """A client with a login `name:password`, a bearer token, or nothing."""

    url: str
    login: str = ""
    token: str = ""

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Send one request; a dict is sent as JSON, a text as a form."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        try:
            data = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, path, data, self.headers(body))  # type: ignore[arg-type]
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, parsed(text), dict(response.getheaders()))
        finally:
            connection.close()

    def headers(self, body: object = None) -> dict[str, str]:
        """Return the fields of a request."""
        found = {"Content-Type": "application/json" if isinstance(body, dict) else FORM}
        if self.login:
            encoded = base64.b64encode(self.login.encode()).decode()
            found["Authorization"] = f"Basic {encoded}"
        if self.token:
            found["Authorization"] = f"Bearer {self.token}"
        return found

    def watch(self, path: str) -> "Watch":
        """Begin a watch."""
        return Watch(self, path)

    # The auth API.

    def user(self, name: str, **fields: object) -> Answer:
        """PUT a user."""
        return self.ask("PUT", f"/v2/auth/users/{name}", {"user": name, **fields})

    def role(self, name: str, **permissions: object) -> Answer:
        """PUT a role: `read`, `write`, `own`, `cluster`."""
        cluster = permissions.pop("cluster", None)
        document: dict[str, object] = {"role": name, "permissions": {"kv": permissions}}
        if cluster is not None:
            document["permissions"] = {"kv": permissions, "cluster": cluster}
        return self.ask("PUT", f"/v2/auth/roles/{name}", {"replace": True, **document})


class Watch:
    """A watch under way, line by line."""

    def __init__(self, client: Client, path: str) -> None:
        parts = urlsplit(client.url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self._connection.request("GET", path, headers=client.headers())
        self._response = self._connection.getresponse()
        self.status = self._response.status

    def line(self) -> Any:
        """Return the next line, None at the end or if the watch is broken off."""
        try:
            text = self._response.readline()
        except (ConnectionError, http.client.HTTPException):
            text = b""
        if not text:
            self.close()
            return None
        return json.loads(text)

    def close(self) -> None:
        """End it."""
        self._response.close()
        self._connection.close()


def parsed(text: str) -> Any:
    """Return JSON, or the text if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
