"""Requests of the v3 API, and what their responses mean for a store with directories.

The v3 API has flat keys: here `/a` is a directory while some key begins with `/a/`. A file is a key
with nothing below it. Each transaction has compares that keep it so: no file above the new one, and
nothing below it.
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
from coordinator.client.core.v3_responses import RangeResponse, TxnResponse

RANGE = "/v3/kv/range"
TXN = "/v3/kv/txn"
WATCH = "/v3/watch"
GRANT = "/v3/lease/grant"
REVOKE = "/v3/lease/revoke"
KEEP_ALIVE = "/v3/lease/keepalive"
TIME_TO_LIVE = "/v3/lease/timetolive"
AUTHENTICATE = "/v3/auth/authenticate"

Body = dict[str, Any]


def one_key(key: str) -> Body:
    """Name one key."""
    return {"key": key.encode()}


def below(prefix: str) -> Body:
    """Name the range of all keys below a prefix."""
    start = b"/" if prefix == key_paths.ROOT else f"{prefix}/".encode()
    return {"key": start, "range_end": start[:-1] + b"0"}  # 0 is what follows / in ASCII


def at_and_below(prefix: str) -> Body:
    """Name the range of a prefix and all keys below it. It has some other keys between them."""
    return {**below(prefix), "key": prefix.encode()}


def first_page(prefix: str, limit: int) -> Body:
    """Ask for a prefix and the first keys below it, at one revision."""
    ops = [{"request_range": {**below(prefix), "limit": limit}}]
    if prefix != key_paths.ROOT:
        ops.append({"request_range": one_key(prefix)})
    return {"success": ops}


def next_page(prefix: str, last: bytes, limit: int, revision: int) -> Body:
    """Ask for the keys below a prefix that follow `last`, as they were at a revision."""
    return {**below(prefix), "key": last + b"\0", "limit": limit, "revision": revision}


def put(key: str, value: str, lease: int, when: PutCondition | None) -> Body:
    """Write a file if the condition and the tree's compares hold, else see why they do not."""
    pair = {"key": key.encode(), "value": value.encode(), "lease": lease}
    success = [_op(request_put=pair), _range(one_key(key), keys_only=True)]
    return {"compare": _put_compares(key, when), "success": success, "failure": _inspect(key)}


def replace_lease(key: str, modified: int, lease: int) -> Body:
    """Give a file another lease if it is still the one of this index."""
    pair = {"key": key.encode(), "lease": lease, "ignore_value": True}
    at = _compare(key, target="MOD", mod_revision=modified)
    return {"compare": [at], "success": [_op(request_put=pair)]}


def delete(key: str, when: DeleteCondition | None) -> Body:
    """Remove one file if the condition holds, else see why it does not."""
    compares = [_exists(key)] if when is None else [_unchanged(key, when)]
    success = [_op(request_delete_range=one_key(key))]
    return {"compare": compares, "success": success, "failure": _inspect(key)}


def delete_recursive(key: str) -> Body:
    """See what is at a key, and remove it and all below it."""
    removed = [_op(request_delete_range=each) for each in (one_key(key), below(key))]
    return {"success": [*_inspect(key), *removed]}


def inspect(key: str) -> Body:
    """See what is at, below and above a key."""
    return {"success": _inspect(key)}


def watch(prefix: str, after: int) -> Body:
    """Follow a prefix from the revision after `after`. The caller drops keys outside the prefix."""
    create = {**at_and_below(prefix), "start_revision": after + 1}
    return {"create_request": {**create, "progress_notify": True, "fragment": True}}


def inspected(response: TxnResponse) -> tuple[RangeResponse, RangeResponse, RangeResponse]:
    """Return what `inspect` saw: the file, the first key below it, the files above it."""
    at, under, *above = (op.response_range for op in response.responses)
    files = tuple(pair for each in above for pair in each.kvs)
    return at, under, RangeResponse(kvs=files)


def refusal(key: str, response: TxnResponse, when: PutCondition | None) -> errors.StoreError:
    """Return why a transaction with `inspect` in it did not write."""
    at, under, above = inspected(response)
    taken = bool(at.kvs or under.kvs)
    if isinstance(when, Absent) and taken:
        return errors.KeyExists(f"{key} exists")
    if at.kvs and when is not None:
        found = at.kvs[0]
        shown = found.value[:80].decode(errors="replace")
        return errors.CompareFailed(
            f"{key} has index {found.mod_revision} and value {shown!r}, but the condition is {when}"
        )
    return not_found(key, response) if not at.kvs or under.kvs or above.kvs else _race_error(key)


def not_found(key: str, response: TxnResponse) -> errors.StoreError:
    """Return the error that says why there is no file at `key`."""
    _, under, above = inspected(response)
    if above.kvs:
        return errors.NotADirectory(f"{key}: {above.kvs[0].key.decode()} is a file")
    if under.kvs:
        return errors.NotAFile(f"{key} is a directory")
    return errors.KeyNotFound(f"{key} does not exist")


def _race_error(key: str) -> errors.StoreError:
    return errors.Unavailable(f"{key}: the server refused a write that meets its conditions")


def _put_compares(key: str, when: PutCondition | None) -> list[Body]:
    match when:
        case None:
            return [*_is_free(key)]
        case Absent():
            return [*_is_free(key), _compare(key, target="VERSION", version=0)]
        case Present():
            return [_exists(key)]
        case AtIndex() | WithValue():
            return [_unchanged(key, when)]
        case _:
            assert_never(when)


def _is_free(key: str) -> list[Body]:
    """Compare: no file above, nothing below."""
    free = [_compare(parent, target="VERSION", version=0) for parent in key_paths.parents(key)]
    return [*free, {**below(key), "target": "VERSION", "version": 0}]


def _exists(key: str) -> Body:
    return _compare(key, target="VERSION", result="GREATER", version=0)


def _unchanged(key: str, when: AtIndex | WithValue) -> Body:
    match when:
        case AtIndex(modified):
            return _compare(key, target="MOD", mod_revision=modified)
        case WithValue(value):
            return _compare(key, target="VALUE", value=value.encode())
        case _:
            assert_never(when)


def _inspect(key: str) -> list[Body]:
    above = [_range(one_key(parent), keys_only=True) for parent in key_paths.parents(key)]
    return [_range(one_key(key)), _range(below(key), keys_only=True, limit=1), *above]


def _range(where: Body, **options: object) -> Body:
    return {"request_range": {**where, **options}}


def _op(**request: object) -> Body:
    return request


def _compare(key: str, **condition: object) -> Body:
    return {**one_key(key), **condition}
