"""The operator API of a running vulcand."""

import contextlib
import http.client
import json

import pytest

from rig.vulcan_site import Site

DIGITS = "9" * 5000


def fetch(site: Site, method: str, path: str, body: object = None, **fields: str):
    connection = http.client.HTTPConnection("127.0.0.1", site.vulcand.api_port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read()), reply.headers
    finally:
        connection.close()


def test_a_write_based_on_an_older_version_is_412(shared: Site):
    backend = {"Backend": {"Id": "cas", "Type": "http"}}
    absent = {"If-None-Match": "*"}
    assert fetch(shared, "POST", "/v2/backends", backend, **absent)[0] == 200
    assert fetch(shared, "POST", "/v2/backends", backend, **absent)[0] == 412
    etag = fetch(shared, "GET", "/v2/backends/cas")[2]["ETag"]
    changed = {"Backend": {"Id": "cas", "Type": "http", "Settings": {"Balance": "p2c"}}}
    assert fetch(shared, "POST", "/v2/backends", changed, **{"If-Match": etag})[0] == 200
    status, answer, _ = fetch(shared, "POST", "/v2/backends", backend, **{"If-Match": etag})
    assert status == 412
    assert answer["message"].startswith("the condition of the request does not hold")
    assert fetch(shared, "DELETE", "/v2/backends/cas", **{"If-Match": etag})[0] == 412
    newer = fetch(shared, "GET", "/v2/backends/cas")[2]["ETag"]
    assert fetch(shared, "DELETE", "/v2/backends/cas", **{"If-Match": newer})[0] == 200


# What Go's vctl sends for an object without a time to live.
GO_WRITES = {
    "/v2/backends/go/servers": {"Server": {"Id": "s", "URL": "http://h:1"}, "TTL": "0s"},
    "/v2/frontends": {
        "Frontend": {"Id": "go", "Type": "http", "BackendId": "go", "Route": 'Path("/go")'},
        "TTL": "0s",
    },
    "/v2/frontends/go/middlewares": {
        "Middleware": {"Id": "m", "Type": "connlimit", "Middleware": {"Connections": 1}},
        "TTL": "0s",
    },
}


def test_a_time_to_live_of_zero_is_none(shared: Site):
    shared.backend("go")
    shared.settle()
    for path, body in GO_WRITES.items():
        assert fetch(shared, "POST", path, body)[0] == 200
    keys = ("backends/go/servers/s", "frontends/go/frontend", "frontends/go/middlewares/m")
    for key in keys:
        assert shared.store.get(f"/vulcand/{key}").expires_at is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v2/top/frontends?limit=%C2%B2", None),
        ("GET", "/v2/explain?url=//[", None),
        ("POST", "/v2/apply", {"Keys": {"x": "y"}}),
        ("POST", "/v2/listeners", {"Listener": {"Id": "l", "Address": {"Address": f"h:{DIGITS}"}}}),
        ("POST", "/v2/frontends", {"Frontend": {"Id": ".."}}),
        (
            "POST",
            "/v2/backends/go/servers",
            {"Server": {"Id": "s", "URL": "http://h"}, "TTL": "999999999h"},
        ),
    ],
)
def test_a_malformed_request_is_400_and_the_daemon_serves_on(
    shared: Site, method: str, path: str, body: object
):
    shared.backend("go")
    shared.settle()
    assert fetch(shared, method, path, body)[0] == 400
    assert fetch(shared, "GET", "/v2/status")[0] == 200


def test_the_api_reads_what_it_wrote(shared: Site):
    connection = http.client.HTTPConnection("127.0.0.1", shared.vulcand.api_port, timeout=30)

    def ask(method: str, path: str, body: object = None) -> int:
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        reply.read()
        return reply.status

    server = {"Server": {"Id": "s", "URL": "http://h:1"}}
    with contextlib.closing(connection):
        for number in range(100):
            backend = f"own{number}"
            assert ask("POST", "/v2/backends", {"Backend": {"Id": backend}}) == 200
            assert ask("POST", f"/v2/backends/{backend}/servers", server) == 200
            assert ask("GET", f"/v2/backends/{backend}/servers/s") == 200
        for number in range(10):
            backend = f"own{number}"
            assert ask("DELETE", f"/v2/backends/{backend}/servers/s") == 200
            assert ask("GET", f"/v2/backends/{backend}/servers/s") == 404
            assert ask("DELETE", f"/v2/backends/{backend}") == 200
            assert ask("POST", f"/v2/backends/{backend}/servers", server) == 404


def test_an_apply_is_in_force_when_it_is_answered(shared: Site):
    key = "backends/applied/servers/s"
    for number in range(1, 10):
        server = json.dumps({"URL": f"http://h:{number}"})
        assert fetch(shared, "POST", "/v2/apply", {"Keys": {key: server}})[0] == 200
        shown = fetch(shared, "GET", "/v2/backends/applied/servers/s")[1]
        assert shown["URL"] == f"http://h:{number}"


@pytest.mark.parametrize(
    ("path", "body", "missing"),
    [
        (
            "/v2/frontends",
            {"Frontend": {"Id": "f", "BackendId": "nowhere", "Route": 'Path("/")'}},
            "backend nowhere",
        ),
        (
            "/v2/frontends/nowhere/middlewares",
            {"Middleware": {"Id": "m", "Type": "connlimit", "Middleware": {"Connections": 1}}},
            "frontend nowhere",
        ),
        (
            "/v2/backends/nowhere/servers",
            {"Server": {"Id": "s", "URL": "http://h:1"}},
            "backend nowhere",
        ),
    ],
)
def test_an_object_whose_parent_is_not_defined_is_404(
    shared: Site, path: str, body: object, missing: str
):
    status, answer, _ = fetch(shared, "POST", path, body)
    assert (status, answer["message"]) == (404, f"{missing} is not defined: write it first")


def test_what_another_node_wrote_just_now_is_a_parent(shared: Site):
    frontend = {"Id": "late", "BackendId": "late", "Route": 'Path("/late")'}
    shared.server("s", "http://h:1", "late")  # a server without a backend key has the defaults
    assert fetch(shared, "POST", "/v2/frontends", {"Frontend": frontend})[0] == 200


def test_the_api_shows_no_password(shared: Site):
    secret = "hunter2"
    shared.backend("ba")
    shared.frontend("ba", 'Path("/ba")', "ba")
    shared.settle()
    settings = {"Username": "ann", "Password": secret, "Users": {"bob": secret}}
    middleware = {"Id": "ba", "Type": "basicauth", "Middleware": settings}
    collection = "/v2/frontends/ba/middlewares"
    key, value = "frontends/ba/middlewares/two", json.dumps(middleware)
    answers = [
        fetch(shared, "POST", collection, {"Middleware": middleware}),
        fetch(shared, "GET", collection),
        fetch(shared, "GET", f"{collection}/ba"),
        fetch(shared, "POST", "/v2/apply", {"Keys": {key: value}}),
        fetch(shared, "POST", "/v2/apply", {"Keys": {key: None}, "DryRun": True}),
        fetch(shared, "POST", "/v2/history"),
    ]
    for status, document, _ in answers:
        assert status == 200
        assert "ann" in json.dumps(document)
        assert secret not in json.dumps(document)
