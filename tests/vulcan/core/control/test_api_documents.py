import pytest

from rig.vulcan_keys import PREFIX, backend, changes, frontend, server
from vulcan.control.api import answer
from vulcan.core.config.table import Table

TABLE = Table(PREFIX).advanced(
    changes(
        backend("b1"),
        server("s2", "http://h:2", "b1"),
        server("s1", "http://h:1", "b1"),
        server("s9", "http://h:9", "implied"),
        frontend("f1", 'Path("/")', "b1"),
        reset=True,
    )
)


def shown(target: str):
    status, document = answer(TABLE, target)
    assert status == 200
    return document


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_load_balancer_sees_that_it_is_well(version):
    assert shown(f"/{version}/status") == {"Status": "ok"}


def test_backends_are_listed_in_order_with_those_that_servers_imply():
    assert [each["Id"] for each in shown("/v2/backends")["Backends"]] == ["b1", "implied"]
    assert shown("/v2/backends/b1?x=1")["Type"] == "http"


def test_servers_are_listed_in_order_by_backend():
    assert shown("/v2/backends/b1/servers") == {
        "Servers": [{"Id": "s1", "URL": "http://h:1"}, {"Id": "s2", "URL": "http://h:2"}]
    }
    assert shown("/v2/backends/b1/servers/s2") == {"Id": "s2", "URL": "http://h:2"}


def test_frontends_are_listed_and_found():
    (document,) = shown("/v2/frontends")["Frontends"]
    assert shown("/v2/frontends/f%31") == document
    assert document["Route"] == 'Path("/")'


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v2/backends/x",
        "/v2/backends/x/servers",
        "/v2/backends/b1/servers/x",
        "/v2/frontends/x",
    ],
)
def test_what_is_not_there_is_404_with_a_message(target):
    assert answer(TABLE, target) == (404, {"message": "Object not found"})
