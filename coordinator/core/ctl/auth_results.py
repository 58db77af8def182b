"""Users and roles as the auth API shows them, and how coordctl prints them: as etcdctl does.

What etcd does not have is printed in lines of its own, and only where there is something.
"""

from collections.abc import Iterator

import msgspec


class OwnEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document in which a user changes only its own entries of a list."""

    pattern: str
    list: str
    counter: str = ""
    total: str = "max"


class KeyRights(msgspec.Struct, frozen=True, omit_defaults=True):
    """Patterns of keys."""

    read: tuple[str, ...] | None = ()
    write: tuple[str, ...] | None = ()
    own: tuple[OwnEntry, ...] = ()


class RolePermissions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a role permits, or what is granted or revoked."""

    kv: KeyRights = KeyRights()
    cluster: tuple[str, ...] | None = None


class RoleResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role."""

    role: str
    permissions: RolePermissions = RolePermissions()


class UserResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user."""

    user: str
    roles: tuple[RoleResult, ...] | None = ()
    attributes: dict[str, str] = {}
    not_before: int = 0


class UserList(msgspec.Struct, frozen=True):
    """The response of /v2/auth/users."""

    users: tuple[UserResult, ...] | None = ()


class RoleList(msgspec.Struct, frozen=True):
    """The response of /v2/auth/roles."""

    roles: tuple[RoleResult, ...] | None = ()


class IssuedToken(msgspec.Struct, frozen=True):
    """The response of /v2/auth/token."""

    token: str
    user: str = ""
    ttl_s: int = 0


class AuthMessage(msgspec.Struct, frozen=True):
    """An error of the auth API."""

    message: str = ""
    cause: str = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.cause})" if self.cause else self.message


def user_lines(user: UserResult) -> Iterator[str]:
    """Yield what `user get` prints."""
    yield f"User: {user.user}"
    yield f"Roles:  {' '.join(role.role for role in user.roles or ())}"
    for name, value in sorted(user.attributes.items()):
        yield f"Attribute: {name}={value}"
    if user.not_before:
        yield f"Not-Before: {user.not_before}"


def role_lines(role: RoleResult) -> Iterator[str]:
    """Yield what `role get` prints."""
    kv = role.permissions.kv
    yield f"Role: {role.role}"
    yield "KV Read:"
    yield from (f"\t{pattern}" for pattern in kv.read or ())
    yield "KV Write:"
    yield from (f"\t{pattern}" for pattern in kv.write or ())
    if kv.own:
        yield "KV Own:"
        yield from (f"\t{own.pattern} {own.list} {own.counter}".rstrip() for own in kv.own)
    if role.permissions.cluster:
        yield "Cluster:"
        yield from (f"\t{capability}" for capability in role.permissions.cluster)
