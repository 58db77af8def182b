"""What a caller needs for each service of the client port, besides a path that it knows.

A service without a rule here is refused to everybody but root.
"""

from collections.abc import Mapping
from enum import Enum, auto

from coordinator.core.auth.decisions import Rights
from coordinator.core.v2api.routes import Service


class Judged(Enum):
    """A service that decides itself, by what is asked for."""

    BY_KEY = auto()  # see key_access
    BY_REQUEST = auto()  # see auth_api


Need = Judged | str
NEEDS: Mapping[Service, Need] = {
    Service.KEYS: Judged.BY_KEY,
    Service.MEMBERS: "info",
    Service.MEMBER_CHANGES: "members",
    Service.LEADERSHIP: "leadership",
    Service.BACKUP: "backup",
    # Whoever knows a token may use it: it is the secret. But not everybody may try.
    Service.NEW_TOKEN: "discovery",
    Service.TOKEN: "discovery",
    Service.HEALTH: "info",
    Service.METRICS: "metrics",
    Service.PAGE: "info",
    Service.AUTH: Judged.BY_REQUEST,
    Service.LOGIN: Judged.BY_REQUEST,
    Service.AUDIT: "audit",
}


def problem(rights: Rights, service: Service) -> str:
    """Say why a caller may not use a service; an empty string if it may, or the service decides."""
    if rights.is_root:
        return ""
    need = NEEDS.get(service)
    if need is None:
        return "only root may use this"
    if isinstance(need, Judged) or rights.has(need):
        return ""
    return f"no role has the capability {need}"
