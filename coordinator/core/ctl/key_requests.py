"""The requests of coordctl's commands to the keys API.

Conditions go into the query and contents into the body, as etcdctl sends them. Requests that
create, compare or delete are sent once: a second attempt could not tell its own effect from that
of another client.
"""

import posixpath
from dataclasses import dataclass
from urllib.parse import quote

from coordinator.client.core.http_request import HttpRequest

_TRUE = "true"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a key or directory."""

    quorum: bool = False
    recursive: bool = False
    sort: bool = False


def path(key: str) -> str:
    """Return the URL path of a key. `a`, `/a/` and `//b/../a` are the same key."""
    clean = posixpath.normpath(f"/{key}").lstrip("/")
    return f"/v2/keys/{quote(clean)}" if clean else "/v2/keys/"


def get(key: str, options: ReadOptions) -> HttpRequest:
    """Read a key or directory."""
    flags = {"quorum": options.quorum, "recursive": options.recursive, "sorted": options.sort}
    return HttpRequest("GET", path(key), {name: str(on).lower() for name, on in flags.items()})


def put(key: str, value: str, ttl_s: int, **conditions: str) -> HttpRequest:
    """Write a file. Conditions have their API names; an empty one is none."""
    params = {name: text for name, text in conditions.items() if text}
    once = bool(set(params) - {"prevExist"}) or params.get("prevExist") == "false"
    form = {"value": value, **_ttl(ttl_s)}
    return HttpRequest("PUT", path(key), params, form, once=once)


def create_in_order(directory: str, value: str, ttl_s: int) -> HttpRequest:
    """Create a file whose name the server chooses, in ascending order."""
    return HttpRequest("POST", path(directory), form={"value": value, **_ttl(ttl_s)}, once=True)


def put_directory(key: str, ttl_s: int, prev_exist: str = "") -> HttpRequest:
    """Create (`false`), update (`true`) or set a directory."""
    params = {"dir": _TRUE} | ({"prevExist": prev_exist} if prev_exist else {})
    return HttpRequest("PUT", path(key), params, _ttl(ttl_s), once=prev_exist == "false")


def delete(key: str, **conditions: str) -> HttpRequest:
    """Remove a key. Conditions and flags have their API names; an empty one is none."""
    params = {name: text for name, text in conditions.items() if text}
    return HttpRequest("DELETE", path(key), params, once=True)


def wait(key: str, from_index: int, *, recursive: bool) -> HttpRequest:
    """Wait for the first event at or after an index; 0 waits for the next one."""
    params = {"wait": _TRUE, "recursive": str(recursive).lower()}
    return HttpRequest(
        "GET", path(key), params | ({"waitIndex": str(from_index)} if from_index else {})
    )


def _ttl(ttl_s: int) -> dict[str, str]:
    return {"ttl": str(ttl_s)} if ttl_s > 0 else {}
