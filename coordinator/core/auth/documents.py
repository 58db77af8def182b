"""Users and roles: their documents in the store, and their checks.

They are below `/_security/v1`, which only the auth API shows and changes. An absent list and an
empty one are the same right; they are kept apart because etcd shows the one as `null`.
"""

import re
from typing import TypeVar

import msgspec

from coordinator.core.auth import patterns
from coordinator.core.store.reserved_keys import SECURITY

USERS = SECURITY + b"/v1/users"
ROLES = SECURITY + b"/v1/roles"
ENABLED = SECURITY + b"/v1/enabled"
TOKEN_KEY = SECURITY + b"/v1/token-key"
ROOT = "root"
GUEST = "guest"
CAPABILITIES = ("info", "metrics", "members", "leadership", "backup", "auth", "audit", "discovery")
NAME_CHARS_MAX = 200
# Bounds of one document; the roles of a large fleet have some fifty patterns.
PATTERNS_MAX = 1000
ROLES_MAX = 100
ATTRIBUTES_MAX = 20
# A name is one segment of a key, and stands in logs.
_NAME = re.compile(rf"(?!\.\.?$)[^/\x00-\x20\x7f]{{1,{NAME_CHARS_MAX}}}")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_VALUE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_T = TypeVar("_T")


class OwnEntries(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document in which a caller may add and remove only itself in `list`: its `{machine}`.

    The number at `counter` is what the list leaves of the number at `total`.
    """

    pattern: str
    list: str
    counter: str = ""
    total: str = "max"


class KeyPermissions(msgspec.Struct, frozen=True):
    """Patterns of keys."""

    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    own: tuple[OwnEntries, ...] = ()


class Permissions(msgspec.Struct, frozen=True):
    """What a role permits. `cluster` None: not said, see `RoleDocument.capabilities`."""

    kv: KeyPermissions = KeyPermissions()
    cluster: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it permits nothing."""
        return not (self.kv.read or self.kv.write or self.kv.own or self.cluster)


class RoleDocument(msgspec.Struct, frozen=True):
    """A role."""

    role: str
    permissions: Permissions = Permissions()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it permits besides keys. A role of etcd does not say, and sees the cluster's facts.

        A guest must be told explicitly: a guest without permissions is a closed door.
        """
        said = self.permissions.cluster
        if said is None:
            return () if self.role == GUEST else ("info",)
        return said


class UserDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user. `password` is a hash, or empty: then only a certificate shows who it is.

    Certificates that were issued at or before `not_before` (Unix seconds) are refused.
    """

    user: str
    password: str = ""
    roles: tuple[str, ...] | None = None
    attributes: dict[str, str] = {}
    not_before: int = 0


ROOT_ROLE = RoleDocument(ROOT, Permissions(KeyPermissions(("/*",), ("/*",))))
# What `enable` gives to everybody if nobody has said anything else, as in etcd.
OPEN_GUEST = RoleDocument(
    GUEST, Permissions(KeyPermissions(("/*",), ("/*",)), ("info", "metrics", "discovery"))
)


def name_problem(name: str) -> str:
    """Say why a user or a role cannot have this name; an empty string if it can."""
    if _NAME.fullmatch(name):
        return ""
    return (
        f"{name[:NAME_CHARS_MAX]!a} is no name: use 1 to {NAME_CHARS_MAX} characters, but no / and "
        "no space"
    )


def role_problem(role: RoleDocument) -> str:
    """Say why this cannot be a role; an empty string if it can."""
    kv, cluster = role.permissions.kv, role.permissions.cluster or ()
    given = [*(kv.read or ()), *(kv.write or ()), *(each.pattern for each in kv.own)]
    if len(given) > PATTERNS_MAX:
        return f"role {role.role} has {len(given)} patterns: at most {PATTERNS_MAX} are allowed"
    for pattern in given:
        if why := patterns.problem(pattern):
            return f"role {role.role}: {why}"
    for own in kv.own:
        if not own.list or own.list == own.counter:
            return f"role {role.role}: own {own.pattern} needs the name of a list"
    if unknown := set(cluster).difference(CAPABILITIES):
        known = ", ".join(CAPABILITIES)
        return f"role {role.role}: there is no capability {min(unknown)[:50]!a}: use {known}"
    return name_problem(role.role)


def user_problem(user: UserDocument) -> str:
    """Say why this cannot be a user; an empty string if it can."""
    roles, attributes = user.roles or (), user.attributes
    if len(roles) > ROLES_MAX or len(attributes) > ATTRIBUTES_MAX:
        return (
            f"user {user.user} has {len(roles)} roles and {len(attributes)} attributes: at most "
            f"{ROLES_MAX} and {ATTRIBUTES_MAX} are allowed"
        )
    for name, value in attributes.items():
        if not _ATTRIBUTE.fullmatch(name) or name == "user" or not _VALUE.fullmatch(value):
            return (
                f"user {user.user}: attribute {name[:50]!a} with value {value[:50]!a}: names are "
                "of a-z, 0-9 and _, values of letters, digits and . _ : -"
            )
    for role in roles:
        if why := name_problem(role):
            return f"user {user.user}: role {why}"
    return name_problem(user.user)


def encode(document: UserDocument | RoleDocument) -> bytes:
    """Return a document as the store keeps it."""
    return msgspec.json.encode(document)


def decode(data: bytes, kind: type[_T]) -> _T:
    """Read a document. ValueError says what is wrong with it."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
