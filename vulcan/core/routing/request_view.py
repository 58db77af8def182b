"""What routes and middlewares may look at in a request."""

import msgspec

from vulcan.core.routing.normal_path import decoded_query


class RequestView(msgspec.Struct, frozen=True, gc=False):
    """A request, as routes see it.

    `host` is in lower case without port; `path` is that of `normal_path`.
    """

    host: bytes
    path: bytes
    method: bytes = b"GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: bytes = b""
    peer: bytes = b""  # the client's address; empty where no route needs it

    def with_peer(self, peer: bytes) -> "RequestView":
        """Return the view with the client's address."""
        return msgspec.structs.replace(self, peer=peer)

    def with_path(self, path: bytes) -> "RequestView":
        """Return the view with another path."""
        return msgspec.structs.replace(self, path=path)

    def header(self, lower_name: bytes) -> bytes:
        """Return the first value of a header; empty if there is none."""
        for name, value in self.headers:
            if name.lower() == lower_name:
                return value
        return b""

    def parameter(self, name: bytes) -> bytes:
        """Return the first value of a query parameter, decoded; empty if there is none."""
        for pair in self.query.split(b"&"):
            key, _, value = pair.partition(b"=")
            if decoded_query(key) == name:
                return decoded_query(value)
        return b""


def normal_host(host: str) -> str:
    """Return a host as routes compare it: lower case, no final dot, IPv6 without brackets."""
    return host.lower().removesuffix(".").removeprefix("[").removesuffix("]")
