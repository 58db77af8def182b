"""What a request needs of the proxy that it came to."""

from typing import TYPE_CHECKING, Protocol

from vulcan.core.balancing.server_group import Group

if TYPE_CHECKING:
    from vulcan.proxy.forward import Forward


class Site(Protocol):
    """The proxy of one worker, as a request sees it."""

    def now(self) -> float:
        """The loop's clock."""
        ...

    def group(self, backend: str) -> Group | None:
        """The servers of a backend."""
        ...

    def trace(self, given: bytes) -> bytes:
        """The traceparent of a request upstream; `given` is the trace that its client is in."""
        ...

    def ended(self, forward: "Forward", status: int, ended: str) -> None:
        """Take note of a request that is over; `ended` says why, empty when all went well."""
        ...
