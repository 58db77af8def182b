"""The value of `--endpoints`: the addresses of a store's servers, and their kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from coordinator.client.core.errors import BadRequest


class ServerKind(Enum):
    """What kind of server an endpoint is; the value is how a message names it."""

    COORDINATOR = "a coordinator"
    ETCD = "an etcd with the v2 API"
    ETCD3 = "an etcd with the v3 API"


UNIX = "unix://"
# An etcd that serves both APIs keeps two separate sets of keys.
FORCED_KINDS = {"v2": ServerKind.ETCD, "v3": ServerKind.ETCD3}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of one server, without its credentials, which messages must not show.

    `unix:///run/coordinator/coordinator.sock` is a Unix socket of this host.

    `forced` is the kind that a prefix of the URL names, as in `v3+http://127.0.0.1:2379`. Without
    one the server is asked.
    """

    url: str
    auth: tuple[bytes, bytes] | None = field(default=None, repr=False)
    forced: ServerKind | None = None

    @property
    def socket_path(self) -> str:
        """The path of a Unix socket, "" for a TCP port."""
        return self.url.removeprefix(UNIX) if self.url.startswith(UNIX) else ""

    @property
    def base_path(self) -> str:
        """What the paths of all requests begin with."""
        return "" if self.socket_path else urlsplit(self.url).path

    def __str__(self) -> str:
        words = [f"{word}+" for word, kind in FORCED_KINDS.items() if kind is self.forced]
        return f"{''.join(words)}{self.url}"


def parse(addresses: str | Sequence[str]) -> tuple[Endpoint, ...]:
    """Parse base URLs, `http://user:password@host:port`, from a comma list or a sequence."""
    texts = addresses.split(",") if isinstance(addresses, str) else addresses
    found = tuple(dict.fromkeys(_endpoint(text.strip()) for text in texts))
    if not found:
        raise BadRequest("no endpoint is given: name one, such as http://127.0.0.1:2379")
    return found


def _endpoint(text: str) -> Endpoint:
    shown = text.rpartition("@")[2]
    api, plus, plain = text.partition("+http")
    forced = FORCED_KINDS.get(api) if plus else None
    try:
        parts = urlsplit(f"http{plain}" if forced else text)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"endpoint {shown!r}: {error}") from error
    auth = None
    if parts.username is not None:
        auth = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
    if parts.scheme == "unix":
        return Endpoint(UNIX + _socket_path(parts, shown), auth)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"endpoint {shown!r} is not a URL: write it as http://127.0.0.1:2379")
    if parts.query or parts.fragment:
        raise BadRequest(f"endpoint {shown!r}: a base URL must not have a ? or a #")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port is None else f"{host}:{port}"
    return Endpoint(f"{parts.scheme}://{where}{parts.path.rstrip('/')}", auth, forced)


def _socket_path(parts: SplitResult, shown: str) -> str:
    if parts.hostname or len(parts.path) < len("/x") or parts.query or parts.fragment:
        example = f"{UNIX}/run/coordinator/coordinator.sock"
        raise BadRequest(f"endpoint {shown!r} is no path of a socket: write it as {example}")
    return parts.path
