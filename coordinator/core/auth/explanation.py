"""Why a user may do something or not, for `GET /v2/auth/why`."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from coordinator.core.auth import key_access
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.decisions import Rights
from coordinator.core.auth.documents import CAPABILITIES, GUEST
from coordinator.core.auth.principal import ANYBODY, Principal, of_user
from coordinator.core.store.commands import CreateInOrder, Delete, Put
from coordinator.core.store.tree import Tree
from coordinator.core.store.watcher_hub import WatchFilter
from coordinator.core.v2api.keys_api import GetRequest, WatchRequest, WriteRequest

QUERY_FIELDS_MAX = 20
_MAKE: Mapping[str, Callable[[bytes], key_access.Request]] = {
    "read": GetRequest,
    "list": lambda key: GetRequest(key, recursive=True),
    "watch": lambda key: WatchRequest(WatchFilter(key, recursive=True), stream=True, wait_index=0),
    "write": lambda key: WriteRequest(Put(key, b"")),
    "create-in-order": lambda key: WriteRequest(CreateInOrder(key)),
    "delete": lambda key: WriteRequest(Delete(key)),
    "delete-all": lambda key: WriteRequest(Delete(key, recursive=True)),
}
OPERATIONS = (*_MAKE, *CAPABILITIES)


def asked(query: bytes) -> dict[str, str]:
    """Return the fields of a query. ValueError for too many."""
    pairs = parse_qsl(query.decode(errors="replace"), max_num_fields=QUERY_FIELDS_MAX)
    return dict(pairs)


def explain(state: AuthState, user: str, operation: str, key: str, tree: Tree) -> dict[str, object]:
    """Return the verdict with its reasons. ValueError says what is wrong with the question."""
    if operation not in OPERATIONS:
        raise ValueError(f"op is {operation[:50]!a}: use one of {', '.join(OPERATIONS)}")
    if operation in _MAKE and not key.startswith("/"):
        raise ValueError(f"key is {key[:50]!a}: write the whole key, as in /a/b")
    principal = _principal(state, user)
    rights = state.rights(principal)
    why = _why(rights, operation, key, tree)
    unknown = sorted(name for name in principal.roles if name not in state.roles)
    shown: dict[str, object] = {
        "user": principal.user,
        "op": operation,
        "key": key if operation in _MAKE else "",
        "allowed": not why,
        "why": why or _granted(rights, operation, key),
        "roles": sorted(principal.roles.difference(unknown)),
        "enforced": state.is_enabled,
    }
    if unknown:
        shown["missing_roles"] = unknown
    notes = []
    if user != principal.user:
        notes.append(f"there is no user {user}: it counts as {GUEST}")
    if not state.is_enabled:
        notes.append("auth is not enabled: everybody may do everything now")
    if notes:
        shown["note"] = "; ".join(notes)
    if operation == "write" and (owned := rights.owns(key.encode())):
        shown["own"] = [own.pattern for own in owned]
    return shown


def _principal(state: AuthState, user: str) -> Principal:
    known = state.user(user)
    return ANYBODY if known is None else of_user(known, "cert")


def _why(rights: Rights, operation: str, key: str, tree: Tree) -> str:
    if operation in CAPABILITIES:
        return "" if rights.has(operation) else f"no role has the capability {operation}"
    return key_access.problem(rights, _MAKE[operation](key.encode()), tree)


def _granted(rights: Rights, operation: str, key: str) -> str:
    if rights.is_root:
        return "root may do everything"
    if operation in CAPABILITIES:
        return f"a role has the capability {operation}"
    reading = operation in {"read", "list", "watch"}
    found = (rights.reads if reading else rights.writes).pattern_of(key.encode())
    if found:
        return f"the pattern {found}"
    return "some keys below it; the rest is left out" if reading else "the keys below it"
