"""The discovery service that every coordinator has: `/new?size=N` makes a token, `/<token>` is it.

A token is a hidden directory of the key space, where fresh members register and find each other.
(coordinator.bootstrap.discovery_client is their side, and says the protocol.)
"""

import re
from urllib.parse import parse_qs

REGISTRY = "/_etcd/registry"
SIZE_DEFAULT = 3
# More voters only make every write slower; etcd advises seven at the most.
SIZE_MAX = 99
_TOKEN = re.compile(r"/[0-9a-f]{32}(?=/|$)")


def keys_path(path: str) -> str | None:
    """Return the place in the keys API of a path below this server's own discovery, or None."""
    if _TOKEN.match(path):
        return f"/v2/keys{REGISTRY}{path}"
    return None


def size_asked(query: bytes) -> int | None:
    """Return the size that `/new?size=N` asks for, None for what is no size."""
    text = parse_qs(query.decode(errors="replace")).get("size", [str(SIZE_DEFAULT)])[0]
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= SIZE_MAX else None
