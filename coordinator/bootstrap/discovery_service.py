"""The discovery service of every coordinator: `/new?size=N` makes a token, `/<token>` is its URL.

A token is a hidden directory of the key space, where new members register and find each other.
(discovery_client is the members' side, and describes the protocol.)
"""

import re
from urllib.parse import parse_qs

REGISTRY = "/_etcd/registry"
SIZE_DEFAULT = 3
# More voters only make every write slower. etcd advises at most seven.
SIZE_MAX = 99
_SIZE = re.compile("[0-9]{1,4}")


def keys_path(path: str) -> str:
    """Return the keys API's path for the path of a token."""
    return f"/v2/keys{REGISTRY}{path}"


def size_asked(query: bytes) -> int | None:
    """Return the size in the query of `/new?size=N`, None if it is not a size."""
    text = parse_qs(query.decode(errors="replace")).get("size", [str(SIZE_DEFAULT)])[0]
    return int(text) if _SIZE.fullmatch(text) and 0 < int(text) <= SIZE_MAX else None
