"""`/v2/auth`: from a request to a page, or to changes of users and roles.

etcd's API, with its words. Extensions: a user has `attributes` and `not_before`, a role has `own`
and `cluster`; a PUT with one of a user's, or with `replace` of a role, sets what it gives, whether
the document exists or not.
"""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from coordinator.core.auth import documents
from coordinator.core.auth.auth_state import TRUE, AuthState
from coordinator.core.auth.documents import (
    ENABLED,
    GUEST,
    OPEN_GUEST,
    ROLES,
    ROOT,
    USERS,
    KeyPermissions,
    Permissions,
    RoleDocument,
    UserDocument,
)
from coordinator.core.store.commands import Delete, Put
from coordinator.core.store.tree import Tree
from coordinator.core.v2api.info_pages import JSON, TEXT, Page, as_json, message

PREFIX = "/v2/auth/"
WHY = "/v2/auth/why"
BODY_BYTES_MAX = 1 << 20
EMPTY = Page(200, JSON, b"")
_T = TypeVar("_T")
_NO_MODIFY = "Cannot modify role root: is root role."


class UserRequest(msgspec.Struct, frozen=True):
    """The body of a PUT of a user. The password is in plain text, or a hash once it is decided."""

    user: str = ""
    password: str | None = ""
    roles: tuple[str, ...] | None = None
    grant: tuple[str, ...] | None = None
    revoke: tuple[str, ...] | None = None
    attributes: dict[str, str] | None = None
    not_before: int | None = None

    @property
    def is_upsert(self) -> bool:
        """Whether it has what only certificates' users have."""
        return self.attributes is not None or self.not_before is not None


class RoleRequest(msgspec.Struct, frozen=True):
    """The body of a PUT of a role."""

    role: str = ""
    permissions: Permissions | None = None
    grant: Permissions | None = None
    revoke: Permissions | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Commands, one after the other, and the answer once all are carried out.

    Each one is conditional: if one is refused, somebody else was faster.
    """

    commands: tuple[Put | Delete, ...]
    page: Page
    enables: bool = False


class _RefusedChange(Exception):  # noqa: N818
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.page = message(status, words)


Body = UserRequest | RoleRequest | None


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A request about users and roles. `name` is empty for all of them."""

    method: str
    kind: str  # users, roles, enable
    name: str
    body: Body = None

    @property
    def path(self) -> str:
        """Its path."""
        return f"{PREFIX}{self.kind}/{self.name}".rstrip("/")


def parse(method: str, path: str, body: bytes) -> AuthRequest | Page:
    """Take a request apart, or return the page that refuses it."""
    kind, _, name = path.removeprefix(PREFIX).partition("/")
    name = name.removesuffix("/")
    if "/" in name:
        return message(400, "Invalid path")
    if refused := wrong_method(method, path):
        return refused
    if method != "PUT" or kind == "enable":
        return AuthRequest(method, kind, name)
    try:
        if kind == "users":
            user = _decoded(body, UserRequest)
            _check_name("User", user.user, name)
            return AuthRequest(method, kind, name, user)
        role = _decoded(body, RoleRequest)
        _check_name("Role", role.role, name)
        return AuthRequest(method, kind, name, role)
    except _RefusedChange as refusal:
        return refusal.page


def wrong_method(method: str, path: str) -> Page | None:
    """Return the page that refuses a method on a path of this API; None for another path."""
    kind, _, name = path.removeprefix(PREFIX).partition("/")
    if not path.startswith(PREFIX) or kind not in {"enable", "users", "roles"}:
        return None
    allowed = ("GET", "PUT", "DELETE") if name.strip("/") or kind == "enable" else ("GET",)
    if method in allowed or (kind == "enable" and name):
        return None
    return Page(405, TEXT, b"Method Not Allowed\n", ((b"Allow", ",".join(allowed).encode()),))


def decide(request: AuthRequest, state: AuthState, tree: Tree) -> Page | Change:
    """Return the answer, or the changes that it takes."""
    try:
        match request:
            case AuthRequest(kind="enable"):
                return _enable(request.method, state, tree)
            case AuthRequest(kind="users", name=""):
                shown = [user_json(user, state) for _, user in sorted(state.users.items())]
                return as_json({"users": shown or None})
            case AuthRequest(kind="roles", name=""):
                return as_json({"roles": [role_json(r) for _, r in sorted(state.roles.items())]})
            case AuthRequest(kind="users"):
                return _user(request, state, tree)
            case _:
                return _role(request, state, tree)
    except _RefusedChange as refusal:
        return refusal.page


def user_json(user: UserDocument, state: AuthState) -> dict[str, object]:
    """Return a user as the API shows it: with its roles in full, without its password."""
    roles = [role_json(state.roles[name]) for name in user.roles or () if name in state.roles]
    return {"user": user.user, **({"roles": roles} if roles else {}), **_extras(user)}


def role_json(role: RoleDocument) -> dict[str, object]:
    """Return a role as the API shows it."""
    kv = role.permissions.kv
    keys: dict[str, object] = {"read": kv.read, "write": kv.write}
    if kv.own:
        keys["own"] = [msgspec.to_builtins(own) for own in kv.own]
    shown: dict[str, object] = {"kv": keys}
    if role.permissions.cluster is not None:
        shown["cluster"] = role.permissions.cluster
    return {"role": role.role, "permissions": shown}


# Users.


def _user(request: AuthRequest, state: AuthState, tree: Tree) -> Page | Change:
    name, old = request.name, state.users.get(request.name)
    if request.method == "DELETE":
        if state.is_enabled and name == ROOT:
            raise _refused(403, "Cannot delete root user while auth is enabled.")
        if old is None:
            raise _refused(404, f"User {name} does not exist")
        return Change((_deletion(USERS, name, tree),), EMPTY)
    if request.method == "GET":
        if old is None:
            raise _refused(404, f"User {name} does not exist.")
        for role in old.roles or ():
            if role not in state.roles:
                raise _refused(404, f"Role {role} does not exist.")
        return as_json(user_json(old, state))
    asked = request.body
    assert isinstance(asked, UserRequest)
    changes = asked.grant or asked.revoke
    if changes and asked.roles:
        raise _RefusedChange(400, "User JSON contains both roles and grant/revoke")
    if asked.is_upsert:
        return _user_change(_set_user(asked, old), tree, 201 if old is None else 200)
    if asked.roles and old is not None and not changes:
        raise _refused(409, f"User {name} already exists.")
    if old is not None:
        return _user_change(_merged_user(asked, old), tree, 200)
    if changes:
        raise _refused(404, f"User {name} does not exist.")
    if not asked.password:
        raise _refused(400, f"Cannot create user {name} with an empty password")
    # etcd says 201 only to a request without roles.
    return _user_change(_new_user(asked), tree, 200 if asked.roles else 201)


def _new_user(asked: UserRequest) -> UserDocument:
    roles = asked.roles
    if asked.user == ROOT and ROOT not in (roles or ()):
        roles = (*(roles or ()), ROOT)
    return UserDocument(asked.user, asked.password or "", roles)


def _merged_user(asked: UserRequest, old: UserDocument) -> UserDocument:
    roles = set(old.roles or ())
    for role in asked.grant or ():
        if role in roles:
            raise _refused(409, f"Granting duplicate role {role} for user {old.user}")
        roles.add(role)
    for role in asked.revoke or ():
        if role not in roles:
            raise _refused(409, f"Revoking ungranted role {role} for user {old.user}")
        roles.remove(role)
    password = asked.password or old.password
    new = msgspec.structs.replace(old, password=password, roles=tuple(sorted(roles)))
    if new == old:
        words = "User not updated. Use grant/revoke/password to update the user."
        raise _refused(400, words)
    return new


def _set_user(asked: UserRequest, old: UserDocument | None) -> UserDocument:
    user = old or _new_user(asked)
    roles = user.roles if asked.roles is None else asked.roles
    if asked.grant or asked.revoke:
        granted = set(roles or ()).union(asked.grant or ()).difference(asked.revoke or ())
        roles = tuple(sorted(granted))
    return msgspec.structs.replace(
        user,
        password=asked.password or user.password,
        roles=roles,
        attributes=user.attributes if asked.attributes is None else asked.attributes,
        not_before=user.not_before if asked.not_before is None else asked.not_before,
    )


def _user_change(user: UserDocument, tree: Tree, status: int) -> Change:
    if why := documents.user_problem(user):
        raise _refused(400, why)
    shown = {"user": user.user, "roles": user.roles, **_extras(user)}
    return Change((_put(USERS, user.user, documents.encode(user), tree),), as_json(shown, status))


def _extras(user: UserDocument) -> dict[str, object]:
    shown: dict[str, object] = {}
    if user.attributes:
        shown["attributes"] = user.attributes
    if user.not_before:
        shown["not_before"] = user.not_before
    return shown


# Roles.


def _role(request: AuthRequest, state: AuthState, tree: Tree) -> Page | Change:
    name, old = request.name, state.roles.get(request.name)
    if request.method == "GET":
        if old is None:
            raise _refused(404, f"Role {name} does not exist.")
        return as_json(role_json(old))
    if name == ROOT:
        raise _refused(403, _NO_MODIFY)
    if request.method == "DELETE":
        if old is None:
            raise _refused(404, f"Role {name} doesn't exist.")
        return Change((_deletion(ROLES, name, tree),), EMPTY)
    asked = request.body
    assert isinstance(asked, RoleRequest)
    given = asked.permissions or Permissions()
    grant, revoke = asked.grant or Permissions(), asked.revoke or Permissions()
    if grant.is_empty and revoke.is_empty:
        if old is not None and not asked.replace:
            raise _refused(409, f"Role {name} already exists.")
        return _role_change(RoleDocument(name, given), tree, 201 if old is None else 200)
    if not given.is_empty:
        raise _RefusedChange(400, "Role JSON contains both permissions and grant/revoke")
    if old is None:
        raise _refused(404, f"Role {name} does not exist.")
    new = RoleDocument(name, _merged(old.permissions, asked.grant, asked.revoke))
    if new == old:
        raise _refused(400, "Role not updated. Use grant/revoke to update the role.")
    return _role_change(new, tree, 200)


def _merged(old: Permissions, grant: Permissions | None, revoke: Permissions | None) -> Permissions:
    kv = old.kv
    given, taken = (grant or Permissions()), (revoke or Permissions())
    read = _patterns("read", kv.read, given.kv.read, taken.kv.read)
    write = _patterns("write", kv.write, given.kv.write, taken.kv.write)
    own = dict.fromkeys((*kv.own, *given.kv.own))
    kept = tuple(each for each in own if each not in taken.kv.own)
    cluster = old.cluster
    if given.cluster or taken.cluster:
        named = set(old.cluster or ()).union(given.cluster or ()).difference(taken.cluster or ())
        cluster = tuple(sorted(named))
    return Permissions(KeyPermissions(read, write, kept), cluster)


def _patterns(
    right: str,
    old: tuple[str, ...] | None,
    given: tuple[str, ...] | None,
    taken: tuple[str, ...] | None,
) -> tuple[str, ...]:
    patterns = set(old or ())
    for pattern in given or ():
        if pattern in patterns:
            raise _refused(409, f"Granting duplicate {right} permission {pattern}")
        patterns.add(pattern)
    return tuple(sorted(patterns.difference(taken or ())))


def _role_change(role: RoleDocument, tree: Tree, status: int) -> Change:
    if why := documents.role_problem(role):
        raise _refused(400, why)
    page = as_json(role_json(role), status)
    return Change((_put(ROLES, role.role, documents.encode(role), tree),), page)


# Enabling.


def _enable(method: str, state: AuthState, tree: Tree) -> Page | Change:
    if method == "GET":
        return as_json({"enabled": state.is_enabled})
    if method == "DELETE":
        if not state.is_enabled:
            raise _refused(409, "already disabled")
        return Change((Delete(ENABLED, prev_index=tree.nodes[ENABLED].modified),), EMPTY)
    if state.is_enabled:
        raise _refused(409, "already enabled")
    if ROOT not in state.users:
        raise _refused(409, "No root user available, please create one")
    commands = [Put(ENABLED, TRUE)]
    if ROLES + b"/" + GUEST.encode() not in tree.nodes:
        commands.insert(0, _put(ROLES, GUEST, documents.encode(OPEN_GUEST), tree))
    return Change(tuple(commands), EMPTY, enables=True)


# Parts.


def _put(directory: bytes, name: str, value: bytes, tree: Tree) -> Put:
    key = directory + b"/" + name.encode()
    node = tree.nodes.get(key)
    if node is None:
        return Put(key, value, prev_exist=False)
    return Put(key, value, prev_index=node.modified)


def _deletion(directory: bytes, name: str, tree: Tree) -> Delete:
    key = directory + b"/" + name.encode()
    return Delete(key, prev_index=tree.nodes[key].modified)


def _refused(status: int, words: str) -> _RefusedChange:
    return _RefusedChange(status, f"auth: {words}")


def _check_name(kind: str, given: str, name: str) -> None:
    if given != name:
        raise _RefusedChange(400, f"{kind} JSON name does not match the name in the URL")
    if why := documents.name_problem(name):
        raise _refused(400, why)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    if len(body) > BODY_BYTES_MAX:
        raise _RefusedChange(413, f"the request has more than {BODY_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _RefusedChange(400, "Invalid JSON in request body.") from error
