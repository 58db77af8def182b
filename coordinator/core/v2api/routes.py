"""The paths that a member answers on its client port and on its peer port."""

import re
from enum import Enum, auto

from daemonkit.core.api_routes import ApiRoute


class Service(Enum):
    """What answers a request on the client port."""

    KEYS = auto()  # with every method
    MEMBERS = auto()
    MEMBER_CHANGES = auto()
    BACKUP = auto()
    NEW_TOKEN = auto()
    TOKEN = auto()
    HEALTH = auto()
    METRICS = auto()
    LEADERSHIP = auto()
    AUDIT = auto()
    LOGIN = auto()
    AUTH = auto()  # users, roles, and whether they count
    PAGE = auto()  # of facts, also for a path or a method that is not here (see `info_pages`)


CLIENT = {
    ApiRoute(
        "GET", "/v2/keys/KEY", "read: `recursive sorted quorum`; watch: `wait waitIndex stream`"
    ): Service.KEYS,
    ApiRoute(
        "PUT", "/v2/keys/KEY", "write `value ttl dir`, `prevExist prevValue prevIndex`"
    ): Service.KEYS,
    ApiRoute(
        "POST", "/v2/keys/DIRECTORY", "create a key in order, named by its index"
    ): Service.KEYS,
    ApiRoute("DELETE", "/v2/keys/KEY", "delete: `recursive dir prevValue prevIndex`"): Service.KEYS,
    ApiRoute("GET HEAD", "/v2/members", "the members"): Service.MEMBERS,
    ApiRoute(
        "POST",
        "/v2/members/leader",
        'transfer leadership: `{"id": "HEX"}`, empty for any (extension)',
    ): Service.LEADERSHIP,
    ApiRoute(
        "POST", "/v2/members", 'add a member: `{"peerURLs": [...]}`; it joins as a learner'
    ): Service.MEMBER_CHANGES,
    ApiRoute(
        "PUT", "/v2/members/ID", 'change its peer URLs: `{"peerURLs": [...]}`'
    ): Service.MEMBER_CHANGES,
    ApiRoute("DELETE", "/v2/members/ID", "remove a member"): Service.MEMBER_CHANGES,
    ApiRoute(
        "POST", "/v2/members/ID/promote", "promote a learner (extension)"
    ): Service.MEMBER_CHANGES,
    ApiRoute("GET", "/v2/members/leader", "the leader; 503 during an election"): Service.PAGE,
    ApiRoute("GET", "/v2/machines", "all client URLs"): Service.PAGE,
    ApiRoute("GET", "/v2/stats/self", "state of this member"): Service.PAGE,
    ApiRoute(
        "GET", "/v2/stats/leader", "latencies of the followers; only at the leader, else 403"
    ): Service.PAGE,
    ApiRoute("GET", "/v2/stats/store", "counters of operations"): Service.PAGE,
    ApiRoute(
        "GET", "/v2/backup", "a backup, for `coordctl backup save`: `quorum` (extension)"
    ): Service.BACKUP,
    ApiRoute(
        "GET PUT DELETE",
        "/v2/auth/enable",
        "whether users and roles count; PUT and DELETE change it",
    ): Service.AUTH,
    ApiRoute("GET", "/v2/auth/users", "all users and their roles"): Service.AUTH,
    ApiRoute(
        "GET PUT DELETE",
        "/v2/auth/users/NAME",
        "a user: `user password roles grant revoke`; extension: `attributes not_before`",
    ): Service.AUTH,
    ApiRoute("GET", "/v2/auth/roles", "all roles"): Service.AUTH,
    ApiRoute(
        "GET PUT DELETE",
        "/v2/auth/roles/NAME",
        "a role: `role permissions grant revoke`; extension: `own cluster replace`",
    ): Service.AUTH,
    ApiRoute(
        "GET",
        "/v2/auth/why",
        "why a user may do something or not: `user op key` (extension)",
    ): Service.AUTH,
    ApiRoute(
        "POST",
        "/v2/auth/token",
        'a bearer token of the caller: `{"ttl_s": 900, "prefixes": [...]}` (extension)',
    ): Service.LOGIN,
    ApiRoute(
        "GET", "/v2/auth/audit", "the last lines of the audit log: `stream` (extension)"
    ): Service.AUDIT,
    ApiRoute("GET PUT", "/new", "create a discovery token: `size`"): Service.NEW_TOKEN,
    ApiRoute(
        "GET HEAD PUT POST DELETE", "/TOKEN", "the keys below a discovery token"
    ): Service.TOKEN,
    ApiRoute("GET", "/version", "the versions"): Service.PAGE,
    ApiRoute(
        "GET HEAD",
        "/health",
        "200 while a linearizable read succeeds and there is no alarm, else 503",
    ): Service.HEALTH,
    ApiRoute("GET HEAD", "/metrics", "Prometheus text"): Service.METRICS,
}
PEER = (
    ApiRoute("GET", "/members", "the members, for other members"),
    ApiRoute("GET", "/version", "the versions"),
    ApiRoute("GET", "/health", "200 while there is a leader, else 503"),
    ApiRoute("GET", "/raft/probing", "200 while the member runs"),
)
_VARYING = re.compile(r"/[A-Z].*")
_32_DIGITS = "/[0-9a-f]{32}"


def _pattern(route: ApiRoute) -> re.Pattern[str]:
    """Return which paths are for a route: one, or all below what does not vary."""
    fixed = _VARYING.sub("", route.path)
    if fixed == route.path:
        return re.compile(re.escape(fixed))
    return re.compile((re.escape(fixed) or _32_DIGITS) + "(/.*)?", re.DOTALL)


_ROUTES = [(route.methods.split(), _pattern(route), each) for route, each in CLIENT.items()]


def service_of(method: str, path: str) -> Service:
    """Return what answers a method on a clean path."""
    for methods, pattern, service in _ROUTES:
        if method in methods and pattern.fullmatch(path):
            return service
    return Service.PAGE
