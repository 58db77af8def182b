"""The client of a discovery service: members with the same token URL find each other.

The protocol is etcd's. The URL is a directory of a v2 store: `_config/size` is the number of
founders, and each member writes a key named by its id with the value `name=peerURL,...`. The first
`size` members, by order of creation, are the founders. A later one finds that the cluster is full.
"""

import time

import msgspec
import requests

REQUEST_S = 5.0
# Other members may be installed one after another, so wait for them as long as it takes, with few
# requests to a shared service.
POLL_S = 60.0
RETRY_S = 1.0
RETRIES_MAX = 30
_OK, _CREATED, _EXISTS, _SERVER_ERROR = 200, 201, 412, 500


class DiscoveryError(Exception):
    """The discovery URL does not lead to a cluster that this member can found."""


class RegistryNode(msgspec.Struct):
    """A key of the token's directory."""

    key: str = ""
    value: str = ""
    created: int = msgspec.field(default=0, name="createdIndex")
    nodes: list["RegistryNode"] = []


class RegistryResponse(msgspec.Struct):
    """A response about it."""

    node: RegistryNode


def join(url: str, own: tuple[int, tuple[str, ...]], name: str) -> str:
    """Register at the URL, wait for the other members, and return the initial cluster.

    Raises DiscoveryError if the token is unknown or wrong, or if its cluster is full.
    """
    directory = _TokenDirectory(url.rstrip("/"))
    size = directory.size()
    member, peer_urls = own
    own_key = f"{member:x}"
    found, index = directory.members()
    if own_key not in {_name(node) for node in found}:
        if len(found) >= size:
            raise DiscoveryError(f"{url}: the cluster of {size} is full")
        directory.register(own_key, ",".join(f"{name}={each}" for each in peer_urls))
    while True:
        found, index = directory.members()
        if len(found) >= size:
            break
        directory.wait(index + 1)
    founders = found[:size]
    if own_key not in {_name(node) for node in founders}:
        raise DiscoveryError(f"{url}: the cluster of {size} is full")
    return ",".join(node.value for node in founders)


class _TokenDirectory:
    """The directory of a token."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def size(self) -> int:
        answer = self._call("GET", "/_config/size")
        if answer.status_code != _OK:
            raise DiscoveryError(
                f"{self._url}: there is no size; create a token with GET /new?size=N"
            )
        text = msgspec.json.decode(answer.content, type=RegistryResponse).node.value
        if not text.isdigit() or int(text) < 1:
            raise DiscoveryError(f"{self._url}/_config/size is {text!r}, not a number of members")
        return int(text)

    def members(self) -> tuple[list[RegistryNode], int]:
        """Return the registrations in order, and the index at which they were read."""
        answer = self._call("GET", "?quorum=true")
        if answer.status_code != _OK:
            raise DiscoveryError(f"{self._url}: {answer.text.strip()}")
        nodes = msgspec.json.decode(answer.content, type=RegistryResponse).node.nodes
        found = [node for node in nodes if _name(node) != "_config"]
        return sorted(found, key=lambda node: node.created), int(answer.headers["X-Etcd-Index"])

    def register(self, member: str, value: str) -> None:
        answer = self._call("PUT", f"/{member}?prevExist=false", value)
        # An existing key is this member's own, from a registration that was interrupted.
        if answer.status_code not in {_OK, _CREATED, _EXISTS}:
            raise DiscoveryError(f"{self._url}: {answer.text.strip()}")

    def wait(self, index: int) -> None:
        path = f"{self._url}?wait=true&recursive=true&waitIndex={index}"
        try:
            self._session.get(path, timeout=POLL_S)
        except requests.RequestException:
            time.sleep(RETRY_S)

    def _call(self, method: str, path: str, value: str | None = None) -> requests.Response:
        data = None if value is None else {"value": value}
        for attempt in range(RETRIES_MAX):
            try:
                answer = self._session.request(
                    method, self._url + path, data=data, timeout=REQUEST_S
                )
            except requests.RequestException as error:
                reason = str(error)
            else:
                if answer.status_code < _SERVER_ERROR:
                    return answer
                reason = answer.text.strip()
            time.sleep(RETRY_S * min(2**attempt, 16))
        raise DiscoveryError(f"{self._url} cannot be reached: {reason}")


def _name(node: RegistryNode) -> str:
    return node.key.rpartition("/")[2]
