"""The auth API and its enforcement, beside a real etcd: the same requests get the same answers."""

import re
from pathlib import Path
from typing import Any

from rig.processes import Coordinator, Etcd
from tests.coordinator.access.asking import Answer, Client

# The name of a key that was created in order: an index.
IN_ORDER = re.compile(r"/\d{20}")
ROOT, ALICE, BOB, WRONG, NOBODY = "root:rp", "alice:ap", "bob:bp", "alice:no", "nobody:x"
# One row is: who, method, path, body. Paths of the auth API are short: `users/alice`.
SET_UP: list[tuple[str, str, str, Any]] = [
    ("", "GET", "enable", None),
    ("", "GET", "users", None),
    ("", "GET", "roles", None),
    ("", "GET", "users/", None),
    ("", "GET", "users/root", None),
    ("", "PUT", "enable", None),
    ("", "DELETE", "enable", None),
    ("", "PUT", "users/root", {"user": "root"}),
    ("", "PUT", "users/root", {"user": "root", "password": "rp"}),
    ("", "PUT", "users/root", {"user": "root"}),
    ("", "PUT", "users/root", {"user": "root", "password": "rp", "roles": ["x"]}),
    ("", "PUT", "users/alice", {"user": "bob", "password": "x"}),
    ("", "PUT", "users/alice", "junk"),
    ("", "PUT", "users/alice", "[]"),
    ("", "PUT", "users/alice", {"user": "alice", "password": 5}),
    ("", "PUT", "users/alice", {"user": "alice", "password": "ap"}),
    ("", "PUT", "users/alice", {"user": "alice"}),
    ("", "PUT", "users/alice", {"user": "alice"}),
    ("", "PUT", "users/bob", {"user": "bob", "password": "bp", "roles": ["r2", "r1"]}),
    ("", "PUT", "users/bob", {"user": "bob", "password": "bp", "roles": ["r1"]}),
    ("", "GET", "users/bob", None),
    ("", "GET", "users", None),
    ("", "PUT", "roles/r1", {"role": "r1"}),
    ("", "PUT", "roles/r1", {"role": "r1"}),
    ("", "PUT", "roles/r1", {"role": "r2"}),
    ("", "PUT", "roles/r1", "junk"),
    ("", "PUT", "roles/r1", {"role": "r1", "revoke": {"kv": {"read": ["/q"]}}}),
    ("", "PUT", "roles/r1", {"role": "r1", "grant": {"kv": {"read": ["/a/*"], "write": ["/w"]}}}),
    ("", "PUT", "roles/r1", {"role": "r1", "grant": {"kv": {"read": ["/b", "/a/*"]}}}),
    ("", "PUT", "roles/r1", {"role": "r1", "grant": {"kv": {"write": ["/w"]}}}),
    ("", "PUT", "roles/r1", {"role": "r1", "revoke": {"kv": {"read": ["/zz"]}}}),
    ("", "PUT", "roles/r1", {"role": "r1", "grant": {"kv": {}}}),
    (
        "",
        "PUT",
        "roles/r1",
        {
            "role": "r1",
            "permissions": {"kv": {"read": ["/b"]}},
            "grant": {"kv": {"read": ["/c"]}},
        },
    ),
    ("", "PUT", "roles/r2", {"role": "r2", "permissions": {"kv": {"read": ["/b", "/d*"]}}}),
    ("", "PUT", "roles/r2", {"role": "r2", "grant": {"kv": {"write": ["/d/e/*", "/o"]}}}),
    ("", "PUT", "roles/nix", {"role": "nix", "grant": {"kv": {"write": ["/d/e/*"]}}}),
    ("", "PUT", "roles/x", {"role": "x", "permissions": None}),
    ("", "DELETE", "roles/x", None),
    ("", "GET", "roles", None),
    ("", "GET", "roles/r2", None),
    ("", "GET", "roles/nix", None),
    ("", "PUT", "roles/root", {"role": "root"}),
    ("", "PUT", "roles/root", {"role": "root", "grant": {"kv": {"read": ["/x"]}}}),
    ("", "GET", "roles/root", None),
    ("", "DELETE", "roles/root", None),
    ("", "DELETE", "roles/nix", None),
    ("", "DELETE", "users/nix", None),
    ("", "PUT", "users/alice", {"user": "alice", "grant": ["r1", "r9"]}),
    ("", "PUT", "users/alice", {"user": "alice", "grant": ["r1"]}),
    ("", "PUT", "users/alice", {"user": "alice", "revoke": ["r5"]}),
    ("", "PUT", "users/alice", {"user": "alice", "revoke": ["r9"]}),
    ("", "PUT", "users/nix", {"user": "nix", "revoke": ["r5"]}),
    ("", "PUT", "users/alice", {"user": "alice", "roles": ["q"], "revoke": ["r5"]}),
    ("", "GET", "users/bob", None),
    ("", "GET", "users", None),
    ("", "PUT", "users/alice/x", {"user": "alice", "password": "y"}),
    ("", "POST", "users/alice", {"user": "alice", "password": "y"}),
    ("", "POST", "users", {}),
    ("", "POST", "roles", {}),
    ("", "POST", "enable", {}),
    ("", "GET", "nix", None),
]
ENABLED: list[tuple[str, str, str, Any]] = [
    ("", "PUT", "enable", None),
    ("", "PUT", "enable", None),
    (ROOT, "PUT", "enable", None),
    ("", "GET", "enable", None),
    ("", "GET", "users", None),
    ("", "GET", "roles/r1", None),
    ("", "DELETE", "users/alice", None),
    ("", "PUT", "roles/evil", {"role": "evil"}),
    (ALICE, "GET", "users", None),
    (ALICE, "GET", "users/alice", None),
    (ALICE, "PUT", "users/alice", {"user": "alice", "grant": ["root"]}),
    (ALICE, "PUT", "users/alice", {"user": "alice", "password": "new"}),
    (ALICE, "DELETE", "enable", None),
    (WRONG, "GET", "users", None),
    (NOBODY, "GET", "users", None),
    (ROOT, "GET", "roles", None),
    (ROOT, "GET", "users", None),
    (ROOT, "DELETE", "users/root", None),
    # Everybody is a guest, who may do everything until somebody says otherwise.
    ("", "PUT", "/v2/keys/a/k", "value=1"),
    ("", "PUT", "/v2/keys/d/e/f", "value=1"),
    ("", "PUT", "/v2/keys/b", "value=1"),
    ("", "GET", "/v2/keys/?recursive=true&sorted=true", None),
    # Alice reads /a/* and /b, and writes /w. Wrong credentials are worse than none.
    (ALICE, "GET", "/v2/keys/a/k", None),
    (ALICE, "GET", "/v2/keys/a/none", None),
    (ALICE, "GET", "/v2/keys/b", None),
    (ALICE, "GET", "/v2/keys/w", None),
    (ALICE, "GET", "/v2/keys/d/e/f", None),
    (ALICE, "HEAD", "/v2/keys/d/e/f", None),
    (ALICE, "GET", "/v2/keys/d?wait=true", None),
    (ALICE, "GET", "/v2/keys/a/k?wait=true&waitIndex=1&recursive=false", None),
    (ALICE, "GET", "/v2/keys/d/e/f?quorum=true", None),
    (ALICE, "GET", "/v2/keys/a/k?quorum=true", None),
    (ALICE, "PUT", "/v2/keys/w", "value=1"),
    (ALICE, "PUT", "/v2/keys/w2", "value=1"),
    (ALICE, "PUT", "/v2/keys/w/x", "value=1"),
    (ALICE, "PUT", "/v2/keys/a/k", "value=2"),
    (ALICE, "PUT", "/v2/keys/a/k?prevValue=1", "value=2"),
    (ALICE, "POST", "/v2/keys/a", "value=2"),
    (ALICE, "DELETE", "/v2/keys/a/k", None),
    (ALICE, "DELETE", "/v2/keys/w?recursive=true", None),
    (ALICE, "DELETE", "/v2/keys/a?recursive=true&dir=true", None),
    (ALICE, "GET", "/v2/keys/b?wait=x", None),
    (ALICE, "PUT", "/v2/keys/w?prevExist=maybe", "value=1"),
    (ALICE, "PATCH", "/v2/keys/w", "value=1"),
    (WRONG, "GET", "/v2/keys/a/k", None),
    (NOBODY, "GET", "/v2/keys/a/k", None),
    (WRONG, "PUT", "/v2/keys/w", "value=1"),
    # Bob reads /a/*, /b and /d*, and writes /w, /d/e/* and /o.
    (BOB, "GET", "/v2/keys/d?recursive=true", None),
    (BOB, "GET", "/v2/keys/d/e?recursive=true&sorted=true", None),
    (BOB, "GET", "/v2/keys/d", None),
    (BOB, "PUT", "/v2/keys/d/e/g", "value=2"),
    (BOB, "PUT", "/v2/keys/d/e/g", "value=3"),
    (BOB, "PUT", "/v2/keys/d/x", "value=3"),
    (BOB, "POST", "/v2/keys/d/e/q", "value=3"),
    (BOB, "DELETE", "/v2/keys/d/e/q?recursive=true", None),
    (BOB, "DELETE", "/v2/keys/d/e/g?prevValue=1", None),
    (BOB, "DELETE", "/v2/keys/d/e/g", None),
    (BOB, "DELETE", "/v2/keys/d/e?recursive=true", None),
    (BOB, "PUT", "/v2/keys/o?dir=true", None),
    (BOB, "PUT", "/v2/keys/o/x", "value=3"),
    # A guest with less rights, and one without any.
    (ROOT, "PUT", "roles/guest", {"role": "guest", "revoke": {"kv": {"write": ["/*"]}}}),
    ("", "PUT", "/v2/keys/a/k", "value=2"),
    ("", "GET", "/v2/keys/a/k", None),
    (ROOT, "DELETE", "roles/guest", None),
    ("", "GET", "/v2/keys/a/k", None),
    ("", "GET", "/v2/keys/nothing", None),
    ("", "PUT", "/v2/keys/a/k", "value=2"),
    ("", "DELETE", "/v2/keys/a?recursive=true", None),
    ("", "GET", "/v2/keys/?wait=true&recursive=true", None),
    # Rights change under the hands of users.
    (ROOT, "PUT", "roles/r1", {"role": "r1", "revoke": {"kv": {"read": ["/a/*"]}}}),
    (ALICE, "GET", "/v2/keys/a/k", None),
    (ROOT, "PUT", "users/bob", {"user": "bob", "revoke": ["r2"]}),
    (BOB, "GET", "/v2/keys/d/e/f", None),
    (ROOT, "PUT", "users/alice", {"user": "alice", "password": "new"}),
    (ALICE, "GET", "/v2/keys/b", None),
    ("alice:new", "GET", "/v2/keys/b", None),
    (ROOT, "DELETE", "users/bob", None),
    (BOB, "GET", "/v2/keys/b", None),
    (ALICE, "POST", "/v2/members", {}),
    ("", "DELETE", "/v2/members/1", None),
    (ROOT, "DELETE", "enable", None),
    (ROOT, "DELETE", "enable", None),
    ("", "PUT", "/v2/keys/a/k", "value=9"),
    ("", "GET", "users", None),
]


class Sides:
    """Both servers, which get each request in turn."""

    def __init__(self, ours: str, etcd: str) -> None:
        self._urls = (ours, etcd)

    def differences(self, rows: list[tuple[str, str, str, Any]]) -> list[object]:
        """Return the rows whose answers differ, with both answers."""
        found: list[object] = []
        for who, method, path, body in rows:
            whole = path if path.startswith("/") else f"/v2/auth/{path}"
            ours, etcd = (Client(url, who).ask(method, whole, body) for url in self._urls)
            shown = (ours.status, comparable(ours, who)), (etcd.status, comparable(etcd, who))
            if shown[0] != shown[1]:
                found.append((who, method, path, *shown))
        return found


def comparable(answer: Answer, who: str) -> Any:
    """Return a body without what is ours: indexes, words for users, rights besides keys."""
    body = answer.body
    if answer.status == 401 and who not in {"", WRONG, NOBODY} and isinstance(body, dict):
        # We say to a known user what is missing.
        body = {**body, "cause": "", "message": ""}
    return without(body)


def without(body: Any) -> Any:
    """Return JSON without indexes and without `cluster`; absent lists as etcd shows them."""
    if isinstance(body, list):
        return [without(each) for each in body]
    if isinstance(body, dict):
        left_out = {"modifiedIndex", "createdIndex", "index", "cluster"}
        return {name: without(each) for name, each in body.items() if name not in left_out}
    return IN_ORDER.sub("/N", body) if isinstance(body, str) else body


def test_users_and_roles_are_kept_and_enforced_as_by_etcd(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as ours, Etcd(tmp_path) as etcd:
        sides = Sides(ours.url, etcd.url)
        assert sides.differences(SET_UP) == []
        assert sides.differences(ENABLED) == []
