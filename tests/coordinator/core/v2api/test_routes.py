"""Which service answers which path."""

import pytest

from coordinator.core.v2api import routes
from coordinator.core.v2api.routes import Service, service_of

WORDS = {"KEY": "a/b", "DIRECTORY": "a", "ID": "8e9e", "TOKEN": "0123456789abcdef" * 2}


@pytest.mark.parametrize("route", routes.CLIENT, ids=lambda route: f"{route.methods} {route.path}")
def test_a_documented_path_is_answered_by_its_service(route: routes.ApiRoute) -> None:
    path = "/".join(WORDS.get(part, part) for part in route.path.split("/"))
    for method in route.methods.split():
        assert service_of(method, path) is routes.CLIENT[route]


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("PUT", "/v2/members/a/b", Service.MEMBER_CHANGES),
        ("DELETE", "/v2/members", Service.MEMBER_CHANGES),
        ("POST", "/v2/membersx", Service.PAGE),
        ("PATCH", "/v2/members", Service.PAGE),
        ("POST", "/metrics", Service.PAGE),
        ("GET", "/metrics/x", Service.PAGE),
        ("GET", f"/{'0' * 32}/_config/size", Service.TOKEN),
        ("GET", f"/{'0' * 33}", Service.PAGE),
        ("GET", "/", Service.PAGE),
        ("GET", "/nothing\n", Service.PAGE),
    ],
)
def test_other_paths(method: str, path: str, service: Service) -> None:
    assert service_of(method, path) is service
