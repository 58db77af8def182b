"""Why a user may do something or not."""

import pytest

from coordinator.core.auth import documents, explanation
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.documents import (
    ENABLED,
    ROLES,
    USERS,
    KeyPermissions,
    OwnEntries,
    Permissions,
    RoleDocument,
    UserDocument,
)
from coordinator.core.store.commands import Put
from coordinator.core.store.keyspace import KeySpace

ROLE = RoleDocument(
    "host",
    Permissions(
        KeyPermissions(("/h/{host}/*",), ("/h/{host}/s",), (OwnEntries("/l", "holders"),)),
        ("info",),
    ),
)
USER = UserDocument("web3", roles=("host", "gone"), attributes={"host": "web3", "machine": "m"})


@pytest.fixture
def space() -> KeySpace:
    """A host and its role."""
    made = KeySpace()
    made.apply(Put(USERS + b"/web3", documents.encode(USER)))
    made.apply(Put(USERS + b"/root", documents.encode(UserDocument("root", roles=("root",)))))
    made.apply(Put(ROLES + b"/host", documents.encode(ROLE)))
    return made


@pytest.mark.parametrize(
    ("question", "allowed", "why"),
    [
        (("web3", "read", "/h/web3/x"), True, "the pattern /h/{host}/*"),
        (("web3", "read", "/h/web4/x"), False, "no role permits to read /h/web4/x"),
        (("web3", "list", "/h"), True, "some keys below it; the rest is left out"),
        (("web3", "watch", "/x"), False, "no role permits to read /x"),
        (("web3", "write", "/h/web3/s"), True, "the pattern /h/{host}/s"),
        (("web3", "delete", "/h/web3/x"), False, "no role permits to write /h/web3/x"),
        (
            ("web3", "delete-all", "/h/web3/s"),
            False,
            "no role permits to write all below /h/web3/s",
        ),
        (("web3", "create-in-order", "/h"), False, "no role permits to write /h"),
        (("web3", "info", ""), True, "a role has the capability info"),
        (("web3", "backup", ""), False, "no role has the capability backup"),
        (("root", "delete-all", "/x"), True, "root may do everything"),
        (("nobody", "read", "/x"), False, "no role permits to read /x"),
    ],
)
def test_a_verdict_has_its_reason(
    space: KeySpace, question: tuple[str, str, str], allowed: bool, why: str
) -> None:
    shown = explanation.explain(AuthState(space.tree), *question, space.tree)
    assert (shown["allowed"], shown["why"]) == (allowed, why)


def test_it_says_what_else_explains_the_verdict(space: KeySpace) -> None:
    state = AuthState(space.tree)
    shown = explanation.explain(state, "web3", "write", "/l", space.tree)
    assert shown["own"] == ["/l"]
    assert shown["missing_roles"] == ["gone"]
    assert shown["enforced"] is False
    space.apply(Put(ENABLED, b"true"))
    shown = explanation.explain(AuthState(space.tree), "zed", "read", "/l", space.tree)
    assert shown["note"] == "there is no user zed: it counts as guest"
    assert shown["enforced"] is True


@pytest.mark.parametrize(
    ("operation", "key", "word"), [("fly", "/x", "use one of"), ("read", "x", "whole key")]
)
def test_a_bad_question_is_refused(space: KeySpace, operation: str, key: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        explanation.explain(AuthState(space.tree), "web3", operation, key, space.tree)


def test_a_query_has_a_bounded_number_of_fields() -> None:
    assert explanation.asked(b"user=a&op=read&key=%2Fx") == {"user": "a", "op": "read", "key": "/x"}
    with pytest.raises(ValueError, match="fields"):
        explanation.asked(b"&".join(b"a%d=1" % number for number in range(50)))
