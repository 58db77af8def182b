"""Requests about users and roles; `tests/coordinator/access` compares them with etcd's."""

import json
from typing import Any

import pytest

from coordinator.core.auth import auth_api
from coordinator.core.auth.auth_api import Change, UserRequest
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.v2api.info_pages import Page


class Api:
    """The API on a key space of its own. Passwords are kept as they are."""

    def __init__(self) -> None:
        self.space = KeySpace()
        self.enabling = False

    @property
    def state(self) -> AuthState:
        return AuthState(self.space.tree)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Carry out a request; return its status and its body."""
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = auth_api.parse(method, f"/v2/auth/{path}", raw)
        decided = request
        if not isinstance(request, Page):
            decided = auth_api.decide(request, self.state, self.space.tree)
        if isinstance(decided, Change):
            self.enabling = decided.enables
            for command in decided.commands:
                self.space.apply(command)
            decided = decided.page
        assert isinstance(decided, Page)
        try:
            return decided.status, json.loads(decided.body or b"null")
        except ValueError:
            return decided.status, decided.body.decode()

    def put(self, path: str, **body: object) -> tuple[int, Any]:
        kind, _, name = path.partition("/")
        return self.ask("PUT", path, {kind[:-1]: name, **body})


@pytest.fixture
def api() -> Api:
    """A key space with root, alice and the role r."""
    made = Api()
    made.put("users/root", password="x")
    made.put("users/alice", password="x")
    made.put("roles/r", permissions={"kv": {"read": ["/r/*"]}})
    return made


def test_a_user_of_a_certificate_needs_no_password_and_is_set_again(api: Api) -> None:
    host = {"roles": ["host"], "attributes": {"host": "web3"}}
    assert api.put("users/host:web3", **host)[0] == 201
    status, shown = api.put("users/host:web3", **host, not_before=7)
    assert (status, shown["attributes"], shown["not_before"]) == (200, {"host": "web3"}, 7)
    # What is not given stays.
    status, shown = api.put("users/host:web3", not_before=8, grant=["r"], revoke=["host"])
    assert shown == {
        "user": "host:web3", "roles": ["r"], "attributes": {"host": "web3"}, "not_before": 8,
    }  # fmt: skip
    api.put("users/host:web3", attributes={}, roles=[])
    user = api.state.user("host:web3")
    assert user is not None
    assert (user.attributes, user.roles, user.not_before, user.password) == ({}, (), 8, "")


def test_a_new_user_root_has_its_role_in_every_way(api: Api) -> None:
    api.ask("DELETE", "users/root")
    assert api.put("users/root", attributes={})[1]["roles"] == ["root"]
    api.ask("DELETE", "users/root")
    assert api.put("users/root", password="x", roles=["r", "root"])[1]["roles"] == ["r", "root"]


def test_the_role_of_a_password_is_never_shown(api: Api) -> None:
    for path in ("users", "users/alice", "roles"):
        assert "password" not in json.dumps(api.ask("GET", path)[1])


def test_a_role_is_replaced_and_merged_with_what_is_ours(api: Api) -> None:
    own = {"pattern": "/l", "list": "holders", "counter": "free"}
    rights = {"kv": {"read": ["/x"], "own": [own]}, "cluster": ["info"]}
    assert api.put("roles/r", permissions=rights)[0] == 409
    status, shown = api.put("roles/r", permissions=rights, replace=True)
    assert (status, shown["permissions"]["cluster"]) == (200, ["info"])
    assert shown["permissions"]["kv"]["own"] == [own]
    grant = {"kv": {"write": ["/y"]}, "cluster": ["backup"]}
    shown = api.put("roles/r", grant=grant, revoke={"kv": {"own": [own]}, "cluster": ["info"]})[1]
    assert shown["permissions"] == {
        "kv": {"read": ["/x"], "write": ["/y"]}, "cluster": ["backup"],
    }  # fmt: skip
    assert api.put("roles/new", replace=True)[0] == 201


def test_a_user_with_a_role_that_is_gone_is_shown_in_the_list(api: Api) -> None:
    api.put("users/alice", grant=["r"])
    api.ask("DELETE", "roles/r")
    assert api.ask("GET", "users/alice")[0] == 404
    assert {"user": "alice"} in api.ask("GET", "users")[1]["users"]


def test_enabling_makes_a_guest_unless_there_is_one(api: Api) -> None:
    assert api.ask("PUT", "enable") == (200, None)
    assert api.enabling
    assert api.state.is_enabled
    guest = api.ask("GET", "roles/guest")[1]
    assert guest["permissions"]["kv"] == {"read": ["/*"], "write": ["/*"]}
    assert api.ask("PUT", "enable")[0] == 409
    assert api.ask("DELETE", "users/root")[0] == 403
    assert api.ask("DELETE", "enable") == (200, None)
    assert not api.state.is_enabled
    api.put("roles/guest", replace=True)
    api.ask("PUT", "enable")
    assert api.ask("GET", "roles/guest")[1]["permissions"]["kv"]["read"] is None


def test_a_change_that_was_decided_on_older_users_is_refused_by_the_store(api: Api) -> None:
    request = auth_api.parse("PUT", "/v2/auth/users/alice", b'{"user":"alice","grant":["r"]}')
    assert not isinstance(request, Page)
    late = auth_api.decide(request, api.state, api.space.tree)
    assert isinstance(late, Change)
    api.put("users/alice", grant=["other"])
    with pytest.raises(ApiError):
        api.space.apply(late.commands[0])
    user = api.state.user("alice")
    assert user is not None
    assert user.roles == ("other",)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "users/a/b", {}, 400),
        ("PUT", "users/x", "junk", 400),
        ("PUT", "users/x", "[" * 3000, 400),
        ("PUT", "users/x", '"' + "x" * auth_api.BODY_BYTES_MAX + '"', 413),
        ("PUT", "users/x y", {"user": "x y", "password": "p"}, 400),
        ("PUT", "users/x", {"user": "x", "password": "p", "roles": ["a/b"]}, 400),
        ("PUT", "roles/x", {"role": "x", "permissions": {"kv": {"read": ["/{"]}}}, 400),
        ("POST", "users", {}, 405),
        ("POST", "users/x", {}, 405),
        ("PATCH", "enable", {}, 405),
        ("DELETE", "users", {}, 405),
    ],
)
def test_a_bad_request_is_refused(
    api: Api, method: str, path: str, body: object, status: int
) -> None:
    assert api.ask(method, path, body)[0] == status


def test_other_paths_are_not_of_this_api() -> None:
    assert auth_api.wrong_method("POST", "/v2/auth/nothing") is None
    assert auth_api.wrong_method("POST", "/v2/members") is None


def test_a_password_in_a_request_is_in_no_message() -> None:
    assert UserRequest("u", "secret").is_upsert is False
    api = Api()
    answers = [
        api.put("users/u", password="secret"),
        api.put("users/u", password="secret", roles=["r"]),
        api.put("users/u", password="secret", attributes={"X": "y"}),
    ]
    assert "secret" not in json.dumps(answers)


def test_etcds_refusals_have_its_words(api: Api) -> None:
    api.put("users/alice", grant=["r"])
    kv = {"kv": {"read": ["/r/*"]}}
    rows = [
        (api.put("users/alice", grant=["r"]), "Granting duplicate role r for user alice"),
        (api.put("users/alice", revoke=["q"]), "Revoking ungranted role q for user alice"),
        (api.put("users/alice"), "User not updated"),
        (api.put("users/alice", password="x", roles=["r"]), "already exists"),
        (api.put("users/alice", roles=["r"], revoke=["r"]), "both roles and grant/revoke"),
        (api.put("users/none", revoke=["r"]), "User none does not exist."),
        (api.put("users/none"), "with an empty password"),
        (api.ask("GET", "users/none"), "User none does not exist."),
        (api.ask("DELETE", "users/none"), "User none does not exist"),
        (api.ask("PUT", "users/none", {"user": "other"}), "does not match the name"),
        (api.put("roles/r", grant=kv), "Granting duplicate read permission /r/*"),
        (api.put("roles/r", permissions=kv, grant=kv), "both permissions and grant/revoke"),
        (api.put("roles/r", revoke={"kv": {"write": ["/x"]}}), ""),
        (api.put("roles/r", revoke={"kv": {"write": ["/x"]}}), "Role not updated"),
        (api.put("roles/none", grant=kv), "Role none does not exist."),
        (api.put("roles/root", grant=kv), "Cannot modify role root"),
        (api.ask("GET", "roles/none"), "Role none does not exist."),
        (api.ask("DELETE", "roles/none"), "Role none doesn't exist."),
        (api.ask("PUT", "enable", {}), ""),
        (api.ask("GET", "enable"), ""),
        (api.ask("DELETE", "enable"), ""),
        (api.ask("DELETE", "enable"), "already disabled"),
        (api.ask("DELETE", "users/root"), ""),
        (api.ask("PUT", "enable"), "No root user available"),
    ]
    for (status, body), words in rows:
        assert (status >= 400) is bool(words), body
        assert words in (body or {}).get("message", "")
