"""The settings of each type of middleware, checked and compiled."""

from collections.abc import Callable
from dataclasses import dataclass

from vulcan.core.balancing.sliding_window import SlidingWindow
from vulcan.core.middleware.basic_auth import Users
from vulcan.core.middleware.breaker import BreakerTiming
from vulcan.core.middleware.ip_allow import IpNetwork
from vulcan.core.middleware.limiters import Rate
from vulcan.core.middleware.rewrite import CompiledRewrite
from vulcan.core.middleware.syslog import SyslogTarget


@dataclass(frozen=True, slots=True)
class Variable:
    """What a limit counts requests by: the client's address, the host, or a header."""

    kind: str  # peer, host or header
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class RateLimitSpec:
    """`ratelimit`."""

    rate: Rate
    variable: Variable
    rate_var: bytes  # the header in which a request may bring its own rates, or empty


@dataclass(frozen=True, slots=True)
class ConnLimitSpec:
    """`connlimit`."""

    connections: int
    variable: Variable


@dataclass(frozen=True, slots=True)
class RewriteSpec:
    """`rewrite`."""

    rewrite: CompiledRewrite
    redirect: int  # the status of the redirect; 0: forward the changed request


@dataclass(frozen=True, slots=True)
class FallbackResponse:
    """A response that a tripped breaker sends instead of a server's."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class FallbackRedirect:
    """A redirect that a tripped breaker sends."""

    url: str
    preserve_path: bool


@dataclass(frozen=True, slots=True)
class WebhookSpec:
    """A request that reports a change of a breaker's state."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class BreakerSpec:
    """`cbreaker`."""

    condition: Callable[[SlidingWindow], bool]
    timing: BreakerTiming
    fallback: FallbackResponse | FallbackRedirect
    on_tripped: WebhookSpec | None
    on_standby: WebhookSpec | None


@dataclass(frozen=True, slots=True)
class TraceSpec:
    """`trace`."""

    target: SyslogTarget
    request_headers: tuple[bytes, ...]
    response_headers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BasicAuthSpec:
    """`basicauth`."""

    users: Users
    realm: str


@dataclass(frozen=True, slots=True)
class HeadersSpec:
    """`headers`. Names of fields to remove are those of `cgi_name`."""

    request: tuple[tuple[bytes, bytes], ...]
    response: tuple[tuple[bytes, bytes], ...]
    remove_request: frozenset[bytes]
    remove_response: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class IpAllowSpec:
    """`ipallow`."""

    allow: tuple[IpNetwork, ...]
    deny: tuple[IpNetwork, ...]


@dataclass(frozen=True, slots=True)
class ClosedSpec:
    """Instead of a middleware that may guard its frontend and cannot be read: no request passes."""

    reason: str


MiddlewareSpec = (
    RateLimitSpec
    | ConnLimitSpec
    | RewriteSpec
    | BreakerSpec
    | TraceSpec
    | BasicAuthSpec
    | HeadersSpec
    | IpAllowSpec
    | ClosedSpec
)
