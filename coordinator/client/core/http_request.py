"""A request to one endpoint, and the ways in which an endpoint fails to serve it."""

from dataclasses import dataclass, field
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request.

    `extensions` are parameters that only our coordinator knows. `once` forbids a second attempt
    after a server may have seen the request.
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

    def target(self) -> str:
        """Return the path with its query."""
        return f"{self.path}?{urlencode(self.params)}" if self.params else self.path

    def body(self) -> bytes | None:
        """Return the content: JSON as it was given, or the form, URL-encoded."""
        if self.json is not None or self.form is None:
            return self.json
        return urlencode(self.form).encode()


class EndpointFailed(Exception):  # noqa: N818 - what happened, never shown by this name
    """This endpoint cannot serve the request; the message continues a sentence about it.

    `seen` says that the server may have carried out the request; `answered`, that it answered.
    """

    def __init__(self, reason: str, *, seen: bool, answered: bool = True) -> None:
        super().__init__(reason)
        self.seen = seen
        self.answered = answered


class EndpointSilent(EndpointFailed):
    """Nothing came for as long as the caller would wait."""


class EndpointRefused(EndpointFailed):
    """This endpoint does not serve this user; no other one of the same store would."""
