"""Who makes a request, as far as the store could find out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from coordinator.core.auth.documents import GUEST, ROOT, UserDocument

# How a client showed who it is.
Source = Literal["guest", "cert", "password", "token", "socket"]
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """A client of one request. `attributes` fill the `{…}` of its roles' patterns.

    A token may narrow what its user may do: with `write_prefixes` it writes only below one of them,
    and changes nothing else. It ends at `expires_ns` of the cluster's time; 0 is never.
    """

    user: str
    roles: frozenset[str]
    source: Source
    attributes: Mapping[str, str] = field(default_factory=lambda: _NONE, hash=False)
    write_prefixes: tuple[str, ...] | None = None
    expires_ns: int = 0

    @property
    def is_root(self) -> bool:
        """Whether it may do everything."""
        return ROOT in self.roles and self.write_prefixes is None


# Everybody without credentials.
ANYBODY = Principal(GUEST, frozenset((GUEST,)), "guest")
# Uid 0 on the member's own Unix socket.
LOCAL_ROOT = Principal(ROOT, frozenset((ROOT,)), "socket")


def of_user(
    user: UserDocument,
    source: Source,
    *,
    write_prefixes: tuple[str, ...] | None = None,
    expires_ns: int = 0,
) -> Principal:
    """Return the principal of a user who has shown that it is this one."""
    return Principal(
        user.user,
        frozenset(user.roles or ()),
        source,
        {**user.attributes, "user": user.user},
        write_prefixes,
        expires_ns,
    )
