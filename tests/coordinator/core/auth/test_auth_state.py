"""Users, roles and rights as of one moment."""

from collections.abc import Mapping

import pytest

from coordinator.core.auth import auth_state, decisions, documents
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.documents import (
    ENABLED,
    ROLES,
    TOKEN_KEY,
    USERS,
    KeyPermissions,
    OwnEntries,
    Permissions,
    RoleDocument,
    UserDocument,
)
from coordinator.core.auth.principal import ANYBODY, LOCAL_ROOT, Principal, of_user
from coordinator.core.store.commands import Delete, Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.node import Node

WEB3 = UserDocument("web3", roles=("host", "absent"), attributes={"host": "web3", "machine": "m3"})
HOST = RoleDocument(
    "host",
    Permissions(
        KeyPermissions(("/h/{host}/*",), ("/h/{host}/s",), (OwnEntries("/l", "holders"),)),
        ("info",),
    ),
)


def space(*given: UserDocument | RoleDocument, **raw: bytes) -> KeySpace:
    made = KeySpace()
    for each in given:
        place = USERS + b"/" + each.user.encode() if isinstance(each, UserDocument) else None
        place = place or ROLES + b"/" + each.role.encode()  # type: ignore[union-attr]
        made.apply(Put(place, documents.encode(each)))
    for key, value in raw.items():
        made.apply(Put({"enabled": ENABLED, "token": TOKEN_KEY}[key], value))
    return made


def test_a_state_has_what_the_store_has() -> None:
    state = AuthState(space(WEB3, HOST, enabled=b"true", token=b"key").tree)
    assert state.is_enabled
    assert state.token_key == b"key"
    assert state.user("web3") == WEB3
    assert state.user("web4") is None
    assert set(state.roles) == {"host", "root"}
    assert state.unreadable == []


def test_an_empty_store_has_only_the_role_root() -> None:
    state = AuthState(KeySpace().tree)
    assert (state.is_enabled, state.token_key, set(state.roles)) == (False, b"", {"root"})
    assert not AuthState(space(enabled=b"false").tree).is_enabled


@pytest.mark.parametrize("value", [b"", b"junk", b'{"user":5}', b"\xff", b"[" * 5000])
def test_a_document_that_cannot_be_read_counts_as_absent(value: bytes) -> None:
    made = space(HOST)
    made.apply(Put(USERS + b"/bad", value))
    state = AuthState(made.tree)
    assert state.users == {}
    assert "/_security/v1/users/bad" in state.unreadable[0]


def test_rights_come_from_the_roles_that_exist() -> None:
    rights = AuthState(space(WEB3, HOST).tree).rights(of_user(WEB3, "cert"))
    assert [role.role for role in rights.roles] == ["host"]
    for _ in range(2):  # the second time it is remembered
        assert rights.may_read(b"/h/web3/x")
        assert not rights.may_read(b"/h/web4/x")
        assert rights.may_write(b"/h/web3/s")
        assert not rights.may_write(b"/h/web3/x")
    assert rights.has("info")
    assert not rights.has("members")
    assert [own.pattern for own in rights.owns(b"/l")] == ["/l"]
    assert rights.own_problem(Put(b"/h/web3/x"), None) is None


def test_root_may_do_everything_and_a_guest_nothing() -> None:
    state = AuthState(KeySpace().tree)
    root, guest = state.rights(LOCAL_ROOT), state.rights(ANYBODY)
    for key in (b"/", b"/x", b"/x/y"):
        assert root.may_read(key)
        assert root.may_write_below(key)
        assert root.may_reach(key)
        assert not guest.may_read(key)
        assert not guest.may_write(key)
        assert not guest.may_reach(key)
    assert root.shows(b"/") is None
    assert root.has("auth")
    assert not guest.has("info")


def test_a_narrowed_token_of_root_writes_only_below_its_prefixes() -> None:
    narrowed = Principal("root", frozenset(("root",)), "token", write_prefixes=("/v/", "/w"))
    rights = AuthState(KeySpace().tree).rights(narrowed)
    assert not rights.is_root
    assert rights.may_read(b"/x")
    for key in (b"/v", b"/v/x", b"/w", b"/w/x"):
        assert rights.may_write(key)
        assert rights.may_write_below(key)
    for key in (b"/", b"/vx", b"/x"):
        assert not rights.may_write(key)
        assert not rights.may_write_below(key)
    assert rights.has("info")
    assert not rights.has("auth")
    assert not rights.has("members")


def test_rights_outlive_a_change_that_does_not_concern_them() -> None:
    made = space(WEB3, HOST)
    state = AuthState(made.tree)
    before = state.rights(of_user(WEB3, "cert"))
    made.apply(Put(USERS + b"/other", documents.encode(UserDocument("other"))))
    state = AuthState(made.tree, state)
    assert state.rights(of_user(WEB3, "cert")) is before
    made.apply(Delete(ROLES + b"/host"))
    state = AuthState(made.tree, state)
    after = state.rights(of_user(WEB3, "cert"))
    assert not after.may_read(b"/h/web3/x")
    assert not after.reads_like(before)
    assert before.reads_like(before)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_state, "RIGHTS_MAX", 3)
    monkeypatch.setattr(decisions, "REMEMBERED_MAX", 3)
    state = AuthState(space(WEB3, HOST).tree)
    first = state.rights(of_user(WEB3, "cert"))
    for number in range(10):
        assert first.may_read(b"/h/web3/%d" % number)
        state.rights(Principal(f"u{number}", frozenset(), "password"))
    assert len(first.readable) <= 3
    assert first.may_read(b"/h/web3/" + b"x" * 1000)
    assert max(map(len, first.readable)) < 1000
    assert state.rights(of_user(WEB3, "cert")) is not first


@pytest.mark.parametrize(
    ("node", "prev", "shown"),
    [
        (Node(b"/h/web3/x", b"1", 1, 1), None, True),
        (Node(b"/h/web4/x", b"1", 1, 1), None, False),
        (None, Node(b"/h/web3", None, 1, 1), True),
        (None, Node(b"/h", None, 1, 1), True),
        (None, Node(b"/h", b"secret", 1, 1), False),
        (Node(b"/h", None, 1, 1), Node(b"/h", b"secret", 1, 1), False),
        (None, Node(b"/g", None, 1, 1), False),
    ],
)
def test_an_event_is_shown_if_its_key_may_be_read_or_a_way_has_gone(
    node: Node | None, prev: Node | None, shown: bool
) -> None:
    shows = AuthState(space(WEB3, HOST).tree).rights(of_user(WEB3, "cert")).shows_events(b"/")
    assert shows is not None
    last = node or prev
    assert last is not None
    assert shows(KeyEvent("set", last.key, 1, 1, node, prev)) is shown


def test_a_whole_directory_needs_no_look_at_each_key() -> None:
    reader = RoleDocument("r", Permissions(KeyPermissions(("/d*",))))
    user = UserDocument("u", roles=("r",))
    rights = AuthState(space(reader, user).tree).rights(of_user(user, "cert"))
    assert rights.shows(b"/d") is None
    assert rights.shows_events(b"/d/e") is None
    assert rights.shows(b"/") is not None


def test_a_role_of_etcd_sees_facts_and_a_guest_is_a_closed_door() -> None:
    found: Mapping[str, tuple[str, ...]] = {
        name: RoleDocument(name).capabilities for name in ("reader", "guest")
    }
    assert found == {"reader": ("info",), "guest": ()}
    assert RoleDocument("reader", Permissions(cluster=())).capabilities == ()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\n", "x" * 201, "\x7f"])
def test_a_bad_name_is_refused(name: str) -> None:
    assert "is no name" in documents.name_problem(name)
    assert "is no name" in documents.user_problem(UserDocument("u", roles=(name,)))


@pytest.mark.parametrize("name", ["root", "host:web3:skydns", "é", "a.b", "x" * 200])
def test_a_good_name_is_accepted(name: str) -> None:
    assert documents.name_problem(name) == ""


@pytest.mark.parametrize(
    ("role", "word"),
    [
        (RoleDocument("r", Permissions(KeyPermissions(("/x",) * 1001))), "at most 1000"),
        (RoleDocument("r", Permissions(KeyPermissions(("/{",)))), "brace"),
        (RoleDocument("r", Permissions(KeyPermissions(own=(OwnEntries("/x", ""),)))), "a list"),
        (RoleDocument("r", Permissions(cluster=("fly",))), "no capability"),
        (RoleDocument("a b"), "is no name"),
        (HOST, ""),
    ],
)
def test_a_role_is_checked(role: RoleDocument, word: str) -> None:
    why = documents.role_problem(role)
    assert word in why if word else why == ""


@pytest.mark.parametrize(
    ("user", "word"),
    [
        (UserDocument("u", roles=("r",) * 101), "at most 100"),
        (UserDocument("u", attributes={"Host": "x"}), "names are"),
        (UserDocument("u", attributes={"user": "x"}), "names are"),
        (UserDocument("u", attributes={"host": "a/b"}), "names are"),
        (WEB3, ""),
    ],
)
def test_a_user_is_checked(user: UserDocument, word: str) -> None:
    why = documents.user_problem(user)
    assert word in why if word else why == ""


def test_a_narrowed_token_narrows_own_entries_too() -> None:
    state = AuthState(space(WEB3, HOST).tree)
    put = Put(b"/l", b'{"holders":["m3"]}', prev_exist=False)
    assert state.rights(of_user(WEB3, "cert")).own_problem(put, None) == ""
    narrowed = of_user(WEB3, "token", write_prefixes=("/other",))
    assert state.rights(narrowed).own_problem(put, None) is None
