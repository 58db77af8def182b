"""Member and cluster identities, computed as etcd does (etcd `membership` package).

A member's id is the first 8 bytes of SHA-1 over its sorted peer URLs and the cluster token;
the cluster's id is the same over the members' ids in ascending order.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of a member and its cluster: 64 bits, written in hexadecimal."""

    member: int
    cluster: int


def member_id(peer_urls: Sequence[str], token: str) -> int:
    """Return the id of a member of the initial cluster."""
    return _first_8("".join(sorted(peer_urls)).encode() + token.encode())


def cluster_id(members: Iterable[int]) -> int:
    """Return the id of a cluster of these members."""
    return _first_8(b"".join(member.to_bytes(8, "big") for member in sorted(members)))


def _first_8(data: bytes) -> int:
    # Naming, not security: SHA-1 is what etcd's ids are made of.
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def parse_initial_cluster(text: str) -> dict[str, list[str]]:
    """Parse `name=url,...`, a name with several URLs repeated. ValueError names the part."""
    members: dict[str, list[str]] = {}
    for part in text.split(","):
        name, equals, url = part.strip().partition("=")
        if not equals or not name or not url:
            raise ValueError(f"initial cluster: {part!r} is not of the form NAME=URL")
        members.setdefault(name, []).append(url)
    seen: set[str] = set()
    for url in (url for urls in members.values() for url in urls):
        if url in seen:
            raise ValueError(f"initial cluster: {url} is given twice")
        seen.add(url)
    return members
