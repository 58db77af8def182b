"""What the API reads of requests, and what nodes tell of themselves."""

import http.client
import json

import pytest

from coordinator.client.core.store_protocol import Absent, AtIndex, Entry, Present
from rig.processes import wait_until
from rig.vulcan_site import Site
from vulcan.core.control.api_requests import ApiError, condition, key_of, severity
from vulcan.core.control.node_status import TTL_S, NodeStatus, cluster_status, decode_statuses


@pytest.mark.parametrize(
    ("fields", "target", "wanted"),
    [
        ({}, "/v2/hosts", None),
        ({b"if-match": b'"12"'}, "/v2/hosts", AtIndex(12)),
        ({b"if-match": b"12"}, "/v2/hosts", AtIndex(12)),
        ({b"if-match": b"*"}, "/v2/hosts", Present()),
        ({b"if-none-match": b"*"}, "/v2/hosts", Absent()),
        ({}, "/v2/hosts?prevIndex=7", AtIndex(7)),
    ],
)
def test_what_a_write_rests_on_is_read_from_fields_and_query(fields, target, wanted):
    assert condition(fields, target) == wanted


@pytest.mark.parametrize("fields", [{b"if-match": b'"x"'}, {b"if-none-match": b'"12"'}])
def test_an_unknown_condition_is_refused(fields):
    with pytest.raises(ApiError) as refused:
        condition(fields, "/v2/hosts")
    assert refused.value.status == 400


MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="severity"\r\n\r\nwarn\r\n--x--\r\n',
    {b"content-type": b"multipart/form-data; boundary=x"},
)


@pytest.mark.parametrize(
    ("body", "fields", "target", "wanted"),
    [
        (b"severity=info", {}, "/v2/log/severity", "info"),
        (b"", {}, "/v2/log/severity?severity=ERROR", "error"),
        (b"severity=fatal", {}, "/", "error"),
        (*MULTIPART, "/", "warning"),
    ],
)
def test_a_severity_comes_as_vulcands_clients_send_it(body, fields, target, wanted):
    assert severity(target, fields, body) == wanted


@pytest.mark.parametrize("body", [b"", b"severity=", b"severity=loud"])
def test_an_unknown_severity_is_refused_with_those_that_are_known(body):
    with pytest.raises(ApiError, match="debug, info, warning"):
        severity("/", {}, body)


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/v2/backends/b", "backends/b/backend"),
        ("/v2/backends/b/servers/s?x=1", "backends/b/servers/s"),
        ("/v2/frontends/f/middlewares/m", "frontends/f/middlewares/m"),
        ("/v2/hosts/h", "hosts/h/host"),
        ("/v2/listeners/l", "listeners/l"),
    ],
)
def test_a_target_has_its_key(target, key):
    assert key_of(target) == key


def lags(*reports: NodeStatus, newest: int = 0) -> dict[str, object]:
    found = cluster_status([(report, 0.0) for report in reports], newest)
    return {str(each["Node"]): each["Lag"] for each in found}


def test_a_node_lags_behind_the_newest_change_that_any_has_applied():
    assert lags(NodeStatus("a", 12, 12), NodeStatus("b", 9, 9)) == {"a": 0, "b": 3}


def test_a_node_that_has_just_read_everything_makes_no_other_lag():
    assert lags(NodeStatus("a", 500, 12), NodeStatus("b", 12, 12), newest=12) == {"a": 0, "b": 0}


def test_all_lag_behind_a_key_that_none_has_applied():
    assert lags(NodeStatus("a", 5, 5), NodeStatus("b", 4, 4), newest=9) == {"a": 4, "b": 5}


def test_what_a_node_told_is_as_old_as_its_key_is_used_up():
    good = Entry("/s/a", '{"Node": "a", "Index": 3, "Changed": 2}', 1, 1, 1000.0 + TTL_S - 7)
    broken = Entry("/s/b", "{", 1, 1, None)
    assert decode_statuses([good, broken], 1000.0) == [(NodeStatus("a", 3, 2), 7.0)]


def ask(site: Site, method: str, path: str, body: object = None, **fields: str):
    connection = http.client.HTTPConnection("127.0.0.1", site.vulcand.api_port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read()), reply.headers
    finally:
        connection.close()


def test_a_write_that_rests_on_an_older_one_is_412(shared: Site):
    backend = {"Backend": {"Id": "cas", "Type": "http"}}
    absent = {"If-None-Match": "*"}
    assert ask(shared, "POST", "/v2/backends", backend, **absent)[0] == 200
    assert ask(shared, "POST", "/v2/backends", backend, **absent)[0] == 412
    wait_until(lambda: ask(shared, "GET", "/v2/backends/cas")[0] == 200, "the backend", 30)
    etag = ask(shared, "GET", "/v2/backends/cas")[2]["ETag"]
    changed = {"Backend": {"Id": "cas", "Type": "http", "Settings": {"Balance": "p2c"}}}
    assert ask(shared, "POST", "/v2/backends", changed, **{"If-Match": etag})[0] == 200
    status, answer, _ = ask(shared, "POST", "/v2/backends", backend, **{"If-Match": etag})
    assert status == 412
    assert answer["message"].startswith("it is not as the request supposes")
    assert ask(shared, "DELETE", "/v2/backends/cas", **{"If-Match": etag})[0] == 412
    newer = lambda: ask(shared, "GET", "/v2/backends/cas")[2]["ETag"]  # noqa: E731
    wait_until(lambda: newer() != etag, "the newer one", 30)
    assert ask(shared, "DELETE", "/v2/backends/cas", **{"If-Match": newer()})[0] == 200
