"""Discovery by token: members that share one URL find each other. etcd's protocol.

The URL is a directory of a v2 store: `_config/size` says how many found the cluster, and each
member writes a key named by its id with `name=peerURL,...`. The first `size` of them, by order
of creation, are the founders; who comes later is told that the cluster is full.
"""

import time

import msgspec
import requests

ASK_S = 5.0
# Other members may be installed one after another: wait for them as long as it takes, asking
# seldom enough for a shared service.
POLL_S = 60.0
RETRY_S = 1.0
RETRIES_MAX = 30
_FOUND, _CREATED, _EXISTS, _BROKEN = 200, 201, 412, 500


class CannotDiscover(Exception):  # noqa: N818 - states a fact
    """The discovery URL does not lead to a cluster that this member can found."""


class _Node(msgspec.Struct):
    key: str = ""
    value: str = ""
    created: int = msgspec.field(default=0, name="createdIndex")
    nodes: list["_Node"] = []


class _Answer(msgspec.Struct):
    node: _Node


def join(url: str, own: tuple[int, tuple[str, ...]], name: str) -> str:
    """Register at the URL, wait for the others, return the initial cluster.

    Raises CannotDiscover when the token is unknown, wrong, or its cluster is full.
    """
    registry = _Registry(url.rstrip("/"))
    size = registry.size()
    member, peer_urls = own
    mine = f"{member:x}"
    found, index = registry.members()
    if mine not in {_name(node) for node in found}:
        if len(found) >= size:
            raise CannotDiscover(f"{url}: the cluster of {size} is full")
        registry.register(mine, ",".join(f"{name}={each}" for each in peer_urls))
    while True:
        found, index = registry.members()
        if len(found) >= size:
            break
        registry.wait(index + 1)
    founders = found[:size]
    if mine not in {_name(node) for node in founders}:
        raise CannotDiscover(f"{url}: the cluster of {size} is full")
    return ",".join(node.value for node in founders)


class _Registry:
    """A token's directory."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def size(self) -> int:
        answer = self._call("GET", "/_config/size")
        if answer.status_code != _FOUND:
            raise CannotDiscover(
                f"{self._url}: no size there; make a token with a GET of /new?size=N"
            )
        text = msgspec.json.decode(answer.content, type=_Answer).node.value
        if not text.isdigit() or int(text) < 1:
            raise CannotDiscover(f"{self._url}/_config/size is {text!r}, not a number of members")
        return int(text)

    def members(self) -> tuple[list[_Node], int]:
        """Return the registrations in order, and the index that they are of."""
        answer = self._call("GET", "?quorum=true")
        if answer.status_code != _FOUND:
            raise CannotDiscover(f"{self._url}: {answer.text.strip()}")
        nodes = msgspec.json.decode(answer.content, type=_Answer).node.nodes
        found = [node for node in nodes if _name(node) != "_config"]
        return sorted(found, key=lambda node: node.created), int(answer.headers["X-Etcd-Index"])

    def register(self, member: str, value: str) -> None:
        answer = self._call("PUT", f"/{member}?prevExist=false", value)
        # A registration of this very member that was cut off is its own: go on with it.
        if answer.status_code not in {_FOUND, _CREATED, _EXISTS}:
            raise CannotDiscover(f"{self._url}: {answer.text.strip()}")

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
                answer = self._session.request(method, self._url + path, data=data, timeout=ASK_S)
            except requests.RequestException as error:
                why = str(error)
            else:
                if answer.status_code < _BROKEN:
                    return answer
                why = answer.text.strip()
            time.sleep(RETRY_S * min(2**attempt, 16))
        raise CannotDiscover(f"{self._url} cannot be asked: {why}")


def _name(node: _Node) -> str:
    return node.key.rpartition("/")[2]
