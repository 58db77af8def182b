"""What `--endpoints` and the TLS files say: where the store is, and whom to trust."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote_to_bytes, urlsplit

from coordinator.client.core.errors import BadRequest


class Kind(Enum):
    """What serves an endpoint, in words for a message."""

    COORDINATOR = "a coordinator"
    ETCD = "an etcd with the v2 API"
    ETCD3 = "an etcd with the v3 API"


# An etcd that serves both keeps two sets of keys that know nothing of each other.
FORCED = {"v2": Kind.ETCD, "v3": Kind.ETCD3}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server's base URL, without the credentials, which messages must not show.

    `forced` is the kind that a prefix of the URL names, as `v3+http://127.0.0.1:2379`; without
    one the server is asked.
    """

    url: str
    auth: tuple[bytes, bytes] | None = field(default=None, repr=False)
    forced: Kind | None = None

    def __str__(self) -> str:
        words = [f"{word}+" for word, kind in FORCED.items() if kind is self.forced]
        return f"{''.join(words)}{self.url}"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: whom to trust (well-known authorities if empty), and who we are, if asked."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise BadRequest("a client certificate needs both --cert-file and --key-file")
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path and not os.access(path, os.R_OK):
                raise BadRequest(f"{path}: cannot be read; name a PEM file this user may read")


def parse(addresses: str | Sequence[str]) -> tuple[Endpoint, ...]:
    """Read base URLs, `http://user:password@host:port`, from a comma list or a sequence."""
    texts = addresses.split(",") if isinstance(addresses, str) else addresses
    found = tuple(dict.fromkeys(_endpoint(text.strip()) for text in texts))
    if not found:
        raise BadRequest("no endpoint is given: name one, as http://127.0.0.1:2379")
    return found


def _endpoint(text: str) -> Endpoint:
    shown = text.rpartition("@")[2]
    api, plus, plain = text.partition("+http")
    forced = FORCED.get(api) if plus else None
    try:
        parts = urlsplit(f"http{plain}" if forced else text)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"endpoint {shown!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"endpoint {shown!r} is not a URL: write it as http://127.0.0.1:2379")
    if parts.query or parts.fragment:
        raise BadRequest(f"endpoint {shown!r}: a base URL ends before any ? or #")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port is None else f"{host}:{port}"
    auth = None
    if parts.username is not None:
        auth = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
    return Endpoint(f"{parts.scheme}://{where}{parts.path.rstrip('/')}", auth, forced)
