"""Requests for keys, judged by the rights of their caller."""

import pytest

from coordinator.core.auth import key_access
from coordinator.core.auth.decisions import BY_DISCOVERY_TOKEN, Rights
from coordinator.core.auth.documents import KeyPermissions, OwnEntries, Permissions, RoleDocument
from coordinator.core.auth.principal import Principal
from coordinator.core.store.commands import CreateInOrder, Delete, Put
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.watcher_hub import WatchFilter
from coordinator.core.v2api.keys_api import GetRequest, WatchRequest, WriteRequest

ROLE = RoleDocument(
    "r",
    Permissions(
        KeyPermissions(
            ("/r/*", "/one", "/deep/*/x"),
            ("/w/*", "/one", "/dir", "/all*"),
            (OwnEntries("/l", "holders"),),
        )
    ),
)
FILES = ("/r/a", "/one", "/deep/a/x", "/deep/a/y", "/other/a", "/dir/a", "/all/a", "/w/f")


@pytest.fixture
def space() -> KeySpace:
    """Some keys."""
    made = KeySpace()
    for key in FILES:
        made.apply(Put(key.encode(), b"1"))
    return made


def rights() -> Rights:
    return Rights(Principal("u", frozenset(("r",)), "cert", {"machine": "m"}), [ROLE])


def watch(key: bytes, *, recursive: bool) -> WatchRequest:
    return WatchRequest(WatchFilter(key, recursive), stream=True, wait_index=0)


def write(command: Put | CreateInOrder | Delete, ttl_ns: int = -1) -> WriteRequest:
    return WriteRequest(command, ttl_ns)


@pytest.mark.parametrize(
    "request_",
    [
        GetRequest(b"/r/a"),
        GetRequest(b"/r"),
        GetRequest(b"/", recursive=True),
        GetRequest(b"/deep/a"),
        GetRequest(b"/deep/none"),
        watch(b"/one", recursive=False),
        watch(b"/deep", recursive=True),
        write(Put(b"/w/x", b"1")),
        write(Put(b"/w/x", b"1"), 5),
        write(Put(b"/w/x", directory=True), 5),
        write(Put(b"/one", prev_exist=True)),
        write(CreateInOrder(b"/w")),
        write(CreateInOrder(b"/one")),
        write(Delete(b"/one")),
        write(Delete(b"/all", recursive=True)),
        write(Put(b"/all", prev_exist=True), 5),
        write(Put(b"/l", b'{"holders":["m"]}', prev_exist=False)),
    ],
    ids=repr,
)
def test_a_request_is_permitted(space: KeySpace, request_: key_access.Request) -> None:
    assert key_access.problem(rights(), request_, space.tree) == ""


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (GetRequest(b"/other/a"), "read /other/a"),
        (GetRequest(b"/other", recursive=True), "read /other"),
        (GetRequest(b"/deep/a/y"), "read /deep/a/y"),
        (watch(b"/deep", recursive=False), "read /deep"),
        (watch(b"/other", recursive=True), "read /other"),
        (write(Put(b"/r/a", b"1")), "write /r/a"),
        (write(Put(b"/dir", prev_exist=True), 5), "write all below /dir"),
        (write(Put(b"/dir", prev_exist=True)), "write all below /dir"),
        (write(Put(b"/one", directory=True), 5), "write all below /one"),
        (write(CreateInOrder(b"/r")), "write /r"),
        (write(Delete(b"/r/a")), "write /r/a"),
        (write(Delete(b"/dir", recursive=True)), "write all below /dir"),
        (write(Delete(b"/l", prev_index=1)), "write /l"),
        (write(Put(b"/l", b'{"holders":["n"]}', prev_exist=False)), "its own entry of /l"),
        (write(Put(b"/l", b'{"holders":["m"]}', prev_exist=False), 5), "write /l"),
    ],
    ids=repr,
)
def test_a_request_is_refused(space: KeySpace, request_: key_access.Request, words: str) -> None:
    assert words in key_access.problem(rights(), request_, space.tree)
    assert key_access.problem(BY_DISCOVERY_TOKEN, request_, space.tree) == ""


def test_a_known_write_is_only_one_that_changes_a_file(space: KeySpace) -> None:
    caller = rights()
    assert not key_access.is_known(caller, write(Put(b"/w/x", b"1")))
    assert key_access.problem(caller, write(Put(b"/w/x", b"1")), space.tree) == ""
    assert key_access.is_known(caller, write(Put(b"/w/x", b"1")))
    for command in (
        Put(b"/w/x", prev_exist=True),
        Put(b"/w/x", directory=True),
        Delete(b"/w/x", recursive=True),
        CreateInOrder(b"/w/x"),
    ):
        assert not key_access.is_known(caller, write(command))


@pytest.mark.parametrize(
    ("request_", "verb", "key"),
    [
        (GetRequest(b"/a"), "read", b"/a"),
        (watch(b"/b", recursive=True), "watch", b"/b"),
        (write(Put(b"/c")), "write", b"/c"),
        (write(CreateInOrder(b"/d")), "write", b"/d"),
        (write(Delete(b"/e")), "delete", b"/e"),
    ],
)
def test_a_request_is_named_in_the_audit_log(
    request_: key_access.Request, verb: str, key: bytes
) -> None:
    assert (key_access.verb(request_), key_access.key_of(request_)) == (verb, key)
