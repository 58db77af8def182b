"""Documents that many callers share, and in which each may change only its own entry.

`{"semaphore": 1, "max": 2, "holders": ["a"]}` with the list `holders`: caller `b` may add or
remove `b`. The counter goes down with an added entry, or is what the list leaves of the total. What
else is in the document stays as it is.

The judged write is conditional: it is applied only to the value that was judged.
"""

from typing import Any

import msgspec

from coordinator.core.auth.documents import OwnEntries
from coordinator.core.store.commands import Put
from coordinator.core.store.node import Node

# A document that does not exist yet begins with one place.
FIRST_TOTAL = 1


def problem(own: OwnEntries, caller: str, put: Put, node: Node | None) -> str:
    """Say why a caller may not make this write; an empty string if it may.

    `node` is what is at the key now.
    """
    if put.directory or put.refresh or put.expires_ns:
        return "only the value of such a document may be written"
    after = _document(put.value or b"")
    if put.prev_exist is False:
        return _creation_problem(own, caller, after)
    judged = put.prev_value
    if put.prev_index and node is not None and node.modified == put.prev_index:
        judged = node.value if judged is None or judged == node.value else None
    elif put.prev_index and not judged:
        return "the document has changed since it was read: read it again"
    if not judged:
        return "such a document may be written only with prevValue, prevIndex or prevExist=false"
    return _change_problem(own, caller, _document(judged), after)


def _creation_problem(own: OwnEntries, caller: str, after: dict[str, Any] | None) -> str:
    if after is None:
        return "the value is no JSON object"
    total = after.get(own.total)
    if own.total in after and (type(total) is not int or total != FIRST_TOTAL):
        return f"a new document has {own.total} {FIRST_TOTAL}"
    before = {**after, own.list: [], own.counter: total if type(total) is int else 0}
    if own.counter not in after:
        del before[own.counter]
    return _change_problem(own, caller, before, after)


def _change_problem(
    own: OwnEntries, caller: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> str:
    if before is None or after is None:
        return "the value is no JSON object"
    old, new = _entries(before, own.list), _entries(after, own.list)
    if old is None or new is None:
        return f"{own.list} is no list of names"
    if sorted(each for each in old if each != caller) != sorted(e for e in new if e != caller):
        return f"only {caller} may be added to or removed from {own.list}"
    if new.count(caller) > 1:
        return f"{caller} may be in {own.list} only once"
    rest = (own.list, own.counter)
    if _rest(before, rest) != _rest(after, rest):
        return f"nothing but {' and '.join(filter(None, rest))} may change"
    return _counter_problem(own, before, after, len(new) - len(old)) if own.counter else ""


def _counter_problem(
    own: OwnEntries, before: dict[str, Any], after: dict[str, Any], added: int
) -> str:
    had, has, total = before.get(own.counter), after.get(own.counter), after.get(own.total)
    if own.counter not in before and own.counter not in after:
        return ""
    if type(had) is not int or type(has) is not int:
        return f"{own.counter} is no number"
    left = total - len(_entries(after, own.list) or ()) if type(total) is int else had - added
    if has not in {had - added, left}:
        return f"{own.counter} may change only with {own.list}, from {had} to {had - added}"
    if added > 0 and min(has, left) < 0:
        return f"no place is free: {own.counter} would be {min(has, left)}"
    return ""


def _document(value: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _entries(document: dict[str, Any], name: str) -> list[str] | None:
    entries = document.get(name)
    if entries is None:
        return []
    if isinstance(entries, list) and all(isinstance(each, str) for each in entries):
        return entries
    return None


def _rest(document: dict[str, Any], without: tuple[str, ...]) -> bytes:
    # As text, because to Python true is 1 and 1.0 is 1.
    kept = {name: value for name, value in document.items() if name not in without}
    return msgspec.json.encode(kept, order="sorted")
