"""What each command asks of the keys API.

Conditions go into the query and contents into the body, as etcdctl sends them. Requests that
create, compare or delete are sent once: a second try could not tell its own effect from
another's.
"""

import posixpath
from dataclasses import dataclass
from urllib.parse import quote

from coordinator.client.http.http_client import Request

_TRUE = "true"


@dataclass(frozen=True, slots=True)
class Look:
    """How to read."""

    quorum: bool = False
    recursive: bool = False
    sort: bool = False


def path(key: str) -> str:
    """Return the URL path of a key; `a`, `/a/` and `//b/../a` are the same one."""
    clean = posixpath.normpath(f"/{key}").lstrip("/")
    return f"/v2/keys/{quote(clean)}" if clean else "/v2/keys/"


def get(key: str, look: Look) -> Request:
    """Read a key or directory."""
    wanted = {"quorum": look.quorum, "recursive": look.recursive, "sorted": look.sort}
    return Request("GET", path(key), {name: str(on).lower() for name, on in wanted.items()})


def put(key: str, value: str, ttl_s: int, **conditions: str) -> Request:
    """Write a file; conditions by their API names, those that are empty do not count."""
    params = {name: text for name, text in conditions.items() if text}
    once = bool(set(params) - {"prevExist"}) or params.get("prevExist") == "false"
    form = {"value": value, **_ttl(ttl_s)}
    return Request("PUT", path(key), params, form, once=once)


def in_order(directory: str, value: str, ttl_s: int) -> Request:
    """Create a file that the server names."""
    return Request("POST", path(directory), form={"value": value, **_ttl(ttl_s)}, once=True)


def put_directory(key: str, ttl_s: int, prev_exist: str = "") -> Request:
    """Make (`false`), update (`true`) or set a directory."""
    params = {"dir": _TRUE} | ({"prevExist": prev_exist} if prev_exist else {})
    return Request("PUT", path(key), params, _ttl(ttl_s), once=prev_exist == "false")


def delete(key: str, **conditions: str) -> Request:
    """Remove a key; conditions and flags by their API names, those that are empty do not count."""
    params = {name: text for name, text in conditions.items() if text}
    return Request("DELETE", path(key), params, once=True)


def wait(key: str, from_index: int, *, recursive: bool) -> Request:
    """Wait for the first event at or after an index; 0 for the next one."""
    params = {"wait": _TRUE, "recursive": str(recursive).lower()}
    return Request(
        "GET", path(key), params | ({"waitIndex": str(from_index)} if from_index else {})
    )


def _ttl(ttl_s: int) -> dict[str, str]:
    return {"ttl": str(ttl_s)} if ttl_s > 0 else {}
