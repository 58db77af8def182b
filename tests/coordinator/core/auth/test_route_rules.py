"""What each path of the client port needs."""

import pytest

from coordinator.core.auth import route_rules
from coordinator.core.auth.decisions import Rights
from coordinator.core.auth.documents import CAPABILITIES, Permissions, RoleDocument
from coordinator.core.auth.principal import ANYBODY, LOCAL_ROOT
from coordinator.core.auth.route_rules import NEEDS, Judged
from coordinator.core.v2api import routes
from coordinator.core.v2api.routes import Service

# Services that answer by what is asked for; each has its own tests.
SELF_JUDGING = {
    Service.KEYS: Judged.BY_KEY,
    Service.AUTH: Judged.BY_REQUEST,
    Service.LOGIN: Judged.BY_REQUEST,
}


def rights(*capabilities: str) -> Rights:
    role = RoleDocument("guest", Permissions(cluster=capabilities))
    return Rights(ANYBODY, [role])


@pytest.mark.parametrize("route", routes.CLIENT, ids=lambda route: f"{route.methods} {route.path}")
def test_every_route_has_a_rule(route: routes.ApiRoute) -> None:
    """A new route needs a row in NEEDS."""
    service = routes.CLIENT[route]
    need = NEEDS[service]
    if isinstance(need, Judged):
        assert SELF_JUDGING[service] is need
    else:
        assert need in CAPABILITIES
        assert route_rules.problem(rights(need), service) == ""
        others = [each for each in CAPABILITIES if each not in {need, "members"}]
        assert need in route_rules.problem(rights(*others), service)


def test_every_service_has_a_rule() -> None:
    assert set(NEEDS) == set(Service)


def test_a_service_without_a_rule_is_only_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_rules, "NEEDS", {})
    root = Rights(LOCAL_ROOT, [])
    for service in Service:
        assert route_rules.problem(rights(*CAPABILITIES), service) == "only root may use this"
        assert route_rules.problem(root, service) == ""


def test_who_may_change_members_may_move_leadership_but_not_the_other_way() -> None:
    assert route_rules.problem(rights("members"), Service.LEADERSHIP) == ""
    assert route_rules.problem(rights("leadership"), Service.MEMBER_CHANGES)
