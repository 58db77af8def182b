"""Requests of the v3 API, and what a store's rules make of their answers. Pure.

Directories are drawn over flat keys: `/a` is one while a key begins with `/a/`. The rules that
no file is below a file, and no file in a directory's place, are conditions of each transaction.
"""

from typing import Any, assert_never

from coordinator.client.core import errors, key_paths
from coordinator.client.core.store_protocol import (
    Absent,
    AtIndex,
    DeleteCondition,
    Present,
    PutCondition,
    WithValue,
)
from coordinator.client.core.v3_responses import Outcome, Ranged

RANGE = "/v3/kv/range"
TXN = "/v3/kv/txn"
WATCH = "/v3/watch"
GRANT = "/v3/lease/grant"
REVOKE = "/v3/lease/revoke"
KEEP_ALIVE = "/v3/lease/keepalive"
TIME_TO_LIVE = "/v3/lease/timetolive"
AUTHENTICATE = "/v3/auth/authenticate"

Body = dict[str, Any]


def file(key: str) -> Body:
    """Name one key."""
    return {"key": key.encode()}


def below(prefix: str) -> Body:
    """Name all keys below a prefix."""
    start = b"/" if prefix == key_paths.ROOT else f"{prefix}/".encode()
    return {"key": start, "range_end": start[:-1] + b"0"}  # 0 is what follows / in ASCII


def at_and_below(prefix: str) -> Body:
    """Name a prefix and all keys below it, and, between them, some beside it."""
    return {**below(prefix), "key": prefix.encode()}


def listed(prefix: str, limit: int) -> Body:
    """Ask for a prefix and the first keys below it, at one revision."""
    steps = [{"request_range": {**below(prefix), "limit": limit}}]
    if prefix != key_paths.ROOT:
        steps.append({"request_range": file(prefix)})
    return {"success": steps}


def listed_on(prefix: str, last: bytes, limit: int, revision: int) -> Body:
    """Ask for the keys below a prefix that follow the last one, as they stood at a revision."""
    return {**below(prefix), "key": last + b"\0", "limit": limit, "revision": revision}


def put(key: str, value: str, lease: int, when: PutCondition | None) -> Body:
    """Write a file if the condition and the tree's rules hold; else look why not."""
    pair = {"key": key.encode(), "value": value.encode(), "lease": lease}
    success = [_step(request_put=pair), _range(file(key), keys_only=True)]
    return {"compare": _put_rules(key, when), "success": success, "failure": _look(key)}


def relet(key: str, modified: int, lease: int) -> Body:
    """Give a file, as it stood at an index, another lease."""
    pair = {"key": key.encode(), "lease": lease, "ignore_value": True}
    at = _compare(key, target="MOD", mod_revision=modified)
    return {"compare": [at], "success": [_step(request_put=pair)]}


def delete(key: str, when: DeleteCondition | None) -> Body:
    """Remove one file if the condition holds; else look why not."""
    rules = [_exists(key)] if when is None else [_same(key, when)]
    success = [_step(request_delete_range=file(key))]
    return {"compare": rules, "success": success, "failure": _look(key)}


def delete_tree(key: str) -> Body:
    """Remove a file and all below it; look at its place before."""
    removed = [_step(request_delete_range=each) for each in (file(key), below(key))]
    return {"success": [*_look(key), *removed]}


def look(key: str) -> Body:
    """See what stands at, below and above a key."""
    return {"success": _look(key)}


def watch(prefix: str, after: int) -> Body:
    """Follow a prefix from the revision after one; the rest of the range is for us to leave."""
    create = {**at_and_below(prefix), "start_revision": after + 1}
    return {"create_request": {**create, "progress_notify": True, "fragment": True}}


def looked(outcome: Outcome) -> tuple[Ranged, Ranged, Ranged]:
    """Return what `look` saw: the file, the first key below it, files above it."""
    at, under, *above = (step.response_range for step in outcome.responses)
    files = tuple(pair for each in above for pair in each.kvs)
    return at, under, Ranged(kvs=files)


def refusal(key: str, outcome: Outcome, when: PutCondition | None) -> errors.StoreError:
    """Return why a transaction that looked did not write."""
    at, under, above = looked(outcome)
    taken = bool(at.kvs or under.kvs)
    if isinstance(when, Absent) and taken:
        return errors.KeyExists(f"{key} exists")
    if at.kvs and when is not None:
        found = at.kvs[0]
        shown = found.value[:80].decode(errors="replace")
        return errors.CompareFailed(
            f"{key} has index {found.mod_revision} and value {shown!r}, and {when} was asked"
        )
    return missing(key, outcome) if not at.kvs or under.kvs or above.kvs else _raced(key)


def missing(key: str, outcome: Outcome) -> errors.StoreError:
    """Return what stands in a file's place."""
    _, under, above = looked(outcome)
    if above.kvs:
        return errors.NotADirectory(f"{key}: {above.kvs[0].key.decode()} is a file")
    if under.kvs:
        return errors.NotAFile(f"{key} is a directory")
    return errors.KeyNotFound(f"{key} does not exist")


def _raced(key: str) -> errors.StoreError:
    return errors.Unavailable(f"{key}: the server refused a write that nothing stands against")


def _put_rules(key: str, when: PutCondition | None) -> list[Body]:
    match when:
        case None:
            return [*_place(key)]
        case Absent():
            return [*_place(key), _compare(key, target="VERSION", version=0)]
        case Present():
            return [_exists(key)]
        case AtIndex() | WithValue():
            return [_same(key, when)]
        case _:
            assert_never(when)


def _place(key: str) -> list[Body]:
    """No file above, nothing below."""
    free = [_compare(parent, target="VERSION", version=0) for parent in key_paths.parents(key)]
    return [*free, {**below(key), "target": "VERSION", "version": 0}]


def _exists(key: str) -> Body:
    return _compare(key, target="VERSION", result="GREATER", version=0)


def _same(key: str, when: AtIndex | WithValue) -> Body:
    match when:
        case AtIndex(modified):
            return _compare(key, target="MOD", mod_revision=modified)
        case WithValue(value):
            return _compare(key, target="VALUE", value=value.encode())
        case _:
            assert_never(when)


def _look(key: str) -> list[Body]:
    above = [_range(file(parent), keys_only=True) for parent in key_paths.parents(key)]
    return [_range(file(key)), _range(below(key), keys_only=True, limit=1), *above]


def _range(where: Body, **options: object) -> Body:
    return {"request_range": {**where, **options}}


def _step(**request: object) -> Body:
    return request


def _compare(key: str, **condition: object) -> Body:
    return {**file(key), **condition}
