"""Whether a caller may make a request for keys, and what its answer leaves out.

1. A read or a watch needs the right to read the key. A directory may also be listed, or watched
   with all below it, by a caller that may read something in it: then the rest is left out. A caller
   that may read nothing there is refused, because an empty answer would mean that nothing exists.
2. A write needs the right to write the key. One that may remove what is below a directory, at once
   or when its time to live ends, needs the right to write all of that, too.
3. A writer that may not read the key does not learn what was there.
"""

from typing import assert_never

from coordinator.core.auth.decisions import Rights
from coordinator.core.store.commands import NO_TTL, CreateInOrder, Delete, Put
from coordinator.core.store.tree import Tree
from coordinator.core.v2api.keys_api import GetRequest, WatchRequest, WriteRequest

Request = GetRequest | WatchRequest | WriteRequest


def is_known(rights: Rights, request: WriteRequest) -> bool:
    """Whether a write is permitted by what was found before: the quick answer for most."""
    command = request.command
    return (
        command.key in rights.writable
        and isinstance(command, Put)
        and not command.prev_exist
        and not command.directory
    )


def problem(rights: Rights, request: Request, tree: Tree) -> str:
    """Say why a caller may not make this request; an empty string if it may."""
    if rights.is_root:
        return ""
    match request:
        case GetRequest(key=key):
            is_open = _is_directory(tree, key) or key not in tree.nodes
            return _read_problem(rights, key, may_list=is_open)
        case WatchRequest(watch_filter=asked):
            return _read_problem(rights, asked.key, may_list=asked.recursive)
        case WriteRequest():
            return _write_problem(rights, request, tree)
        case _:
            assert_never(request)


def verb(request: Request) -> str:
    """Return what a request does, as a word."""
    match request:
        case GetRequest():
            return "read"
        case WatchRequest():
            return "watch"
        case WriteRequest(command=Delete()):
            return "delete"
        case WriteRequest():
            return "write"
        case _:
            assert_never(request)


def key_of(request: Request) -> bytes:
    """Return the key of a request."""
    match request:
        case GetRequest(key=key):
            return key
        case WatchRequest(watch_filter=asked):
            return asked.key
        case WriteRequest(command=command):
            return command.key
        case _:
            assert_never(request)


def _read_problem(rights: Rights, key: bytes, *, may_list: bool) -> str:
    if rights.may_read(key) or (may_list and rights.may_reach(key)):
        return ""
    return _missing("read", key)


def _write_problem(rights: Rights, request: WriteRequest, tree: Tree) -> str:
    match request.command:
        case Put() as put:
            return _put_problem(rights, put, tree, has_ttl=request.ttl_ns != NO_TTL)
        case CreateInOrder(key=key):
            may = rights.may_write(key) or rights.may_write_below(key)
            return "" if may else _missing("write", key)
        case Delete(key=key, recursive=recursive):
            if not rights.may_write(key):
                return _missing("write", key)
            if recursive and not rights.may_write_below(key):
                return _missing("write", key, below=True)
            return ""
        case _:
            assert_never(request.command)


def _put_problem(rights: Rights, put: Put, tree: Tree, *, has_ttl: bool) -> str:
    key = put.key
    if rights.may_write(key):
        # An update gives a directory another time to live, and what is below it ends with it.
        ends_directory = put.prev_exist is True and _is_directory(tree, key)
        makes_ending = put.directory and has_ttl
        if (ends_directory or makes_ending) and not rights.may_write_below(key):
            return _missing("write", key, below=True)
        return ""
    why = None if has_ttl else rights.own_problem(put, tree.nodes.get(key))
    if why is None:
        return _missing("write", key)
    return f"its own entry of {_shown(key)} is all that it may change: {why}" if why else ""


def _is_directory(tree: Tree, key: bytes) -> bool:
    return key in tree.directories


def _missing(right: str, key: bytes, *, below: bool = False) -> str:
    return f"no role permits to {right} {'all below ' if below else ''}{_shown(key)}"


def _shown(key: bytes) -> str:
    return key[:200].decode(errors="replace")
