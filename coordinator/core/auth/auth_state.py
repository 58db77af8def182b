"""The users and roles of the cluster as of one moment, and what each caller may do then.

A state never changes: a change of a document below `/_security` makes a new one, which forgets all
decisions of the one before.
"""

from collections.abc import Mapping
from typing import TypeVar

from coordinator.core.auth import documents
from coordinator.core.auth.decisions import Rights
from coordinator.core.auth.documents import (
    ENABLED,
    ROLES,
    ROOT,
    ROOT_ROLE,
    TOKEN_KEY,
    USERS,
    RoleDocument,
    UserDocument,
)
from coordinator.core.auth.principal import Principal
from coordinator.core.store.tree import Tree

# Callers whose rights are remembered: those of a large fleet.
RIGHTS_MAX = 1024
# The value of the key that enables auth.
TRUE = b"true"
_D = TypeVar("_D", UserDocument, RoleDocument)


class AuthState:
    """Who may do what. `unreadable` says what is wrong with documents that count as absent.

    What the state before this one knew of callers whose roles are still the same is used again.
    """

    def __init__(self, tree: Tree, before: "AuthState | None" = None) -> None:
        self.unreadable: list[str] = []
        self.users: Mapping[str, UserDocument] = self._read(tree, USERS, UserDocument)
        roles = self._read(tree, ROLES, RoleDocument)
        self.roles: Mapping[str, RoleDocument] = {**roles, ROOT: ROOT_ROLE}
        enabled, token_key = tree.nodes.get(ENABLED), tree.nodes.get(TOKEN_KEY)
        self.is_enabled = enabled is not None and enabled.value == TRUE
        self.token_key = (token_key.value or b"") if token_key is not None else b""
        self._rights: dict[Principal, Rights] = {}
        self._rights_before = {} if before is None else before._rights  # noqa: SLF001 - its own kind

    def user(self, name: str) -> UserDocument | None:
        """Return a user, None if there is none of this name."""
        return self.users.get(name)

    def rights(self, principal: Principal) -> Rights:
        """Return what a caller may do."""
        known = self._rights.get(principal)
        if known is not None:
            return known
        roles = tuple(self.roles[name] for name in sorted(principal.roles) if name in self.roles)
        rights = self._rights_before.get(principal)
        if rights is None or rights.roles != roles:
            rights = Rights(principal, roles)
        if len(self._rights) >= RIGHTS_MAX:
            del self._rights[next(iter(self._rights))]
        self._rights[principal] = rights
        return rights

    def _read(self, tree: Tree, directory: bytes, kind: type[_D]) -> dict[str, _D]:
        found: dict[str, _D] = {}
        for key, node in sorted(tree.directories.get(directory, {}).items()):
            name = key[len(directory) + 1 :].decode(errors="replace")
            try:
                found[name] = documents.decode(node.value or b"", kind)
            except ValueError as error:
                self.unreadable.append(f"{key.decode(errors='replace')}: {error}")
        return found
