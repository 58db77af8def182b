"""Reading the API's requests: conditions, log levels, bodies and paths."""

import json

import pytest

from coordinator.client.core.store_protocol import Absent, AtIndex, Present
from vulcan.core.control.api_requests import (
    ApiError,
    DeleteObject,
    GetObject,
    ListObjects,
    PutLogLevel,
    PutObject,
    TopQuery,
)
from vulcan.core.control.api_routes import OPERATIONS, parse_request
from vulcan.core.keys import ObjectKey, ObjectKind


def condition(fields, target):
    request = parse_request("DELETE", target, fields, b"")
    assert isinstance(request, DeleteObject)
    return request.condition


@pytest.mark.parametrize(
    ("fields", "target", "expected"),
    [
        ({}, "/v2/hosts/h", None),
        ({b"if-match": b'"12"'}, "/v2/hosts/h", AtIndex(12)),
        ({b"if-match": b"12"}, "/v2/hosts/h", AtIndex(12)),
        ({b"if-match": b"*"}, "/v2/hosts/h", Present()),
        ({b"if-none-match": b"*"}, "/v2/hosts/h", Absent()),
        ({}, "/v2/hosts/h?prevIndex=7", AtIndex(7)),
    ],
)
def test_the_condition_of_a_write_is_read_from_fields_and_query(fields, target, expected):
    assert condition(fields, target) == expected


@pytest.mark.parametrize("fields", [{b"if-match": b'"x"'}, {b"if-none-match": b'"12"'}])
def test_an_unknown_condition_is_refused(fields):
    with pytest.raises(ApiError) as refused:
        condition(fields, "/v2/hosts/h")
    assert refused.value.status == 400


MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="severity"\r\n\r\nwarn\r\n--x--\r\n',
    {b"content-type": b"multipart/form-data; boundary=x"},
)
LEVEL = "/v2/log/severity"


@pytest.mark.parametrize(
    ("body", "fields", "target", "level"),
    [
        (b"severity=info", {}, LEVEL, "info"),
        (b"", {}, f"{LEVEL}?severity=ERROR", "error"),
        (b"severity=fatal", {}, LEVEL, "error"),
        (*MULTIPART, LEVEL, "warning"),
    ],
)
def test_a_log_level_is_read_as_vulcands_clients_send_it(body, fields, target, level):
    assert parse_request("PUT", target, fields, body) == PutLogLevel(level)


@pytest.mark.parametrize("body", [b"", b"severity=", b"severity=loud"])
def test_an_unknown_log_level_is_refused_with_the_known_ones(body):
    with pytest.raises(ApiError, match="debug, info, warning"):
        parse_request("PUT", LEVEL, {}, body)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v2/backends/b", "backends/b/backend"),
        ("/v2/backends/b/servers/s?x=1", "backends/b/servers/s"),
        ("/v2/frontends/f/middlewares/m", "frontends/f/middlewares/m"),
        ("/v2/hosts/h", "hosts/h/host"),
        ("/v2/listeners/l", "listeners/l"),
    ],
)
def test_the_path_of_an_object_leads_to_its_key(target, path):
    request = parse_request("GET", target, {}, b"")
    assert isinstance(request, GetObject)
    assert request.key.path == path


def test_a_path_is_decoded_after_it_is_split():
    request = parse_request("HEAD", "/v2/backends/a%2Fb/servers/", {}, b"")
    assert request == ListObjects(ObjectKind.SERVER, "a/b")


def put(document: object, target: str = "/v2/backends/b/servers"):
    return parse_request("POST", target, {}, json.dumps(document).encode())


def test_a_post_to_a_collection_writes_one_object():
    document = {"Id": "s", "URL": "http://h"}
    assert put({"Server": document, "TTL": "90s"}) == PutObject(
        ObjectKey(ObjectKind.SERVER, "s", "b"), document, 90, None
    )


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [("", None), (None, None), ("0", None), ("0s", None), ("0h0m0s", None), ("400ms", 1)],
)
def test_a_time_to_live_is_in_whole_seconds_and_zero_is_none(ttl, seconds):
    request = put({"Server": {"Id": "s", "URL": "http://h"}, "TTL": ttl})
    assert isinstance(request, PutObject)
    assert request.ttl_s == seconds


def test_a_kind_that_cannot_expire_may_have_a_time_to_live_of_zero():
    request = put({"Listener": {"Id": "l"}, "TTL": "0s"}, "/v2/listeners")
    assert isinstance(request, PutObject)
    assert request.ttl_s is None


def test_names_of_fields_may_be_in_any_case():
    request = put({"host": {"name": "h", "settings": {"keypair": {"Key": "x"}}}}, "/v2/hosts")
    assert request == PutObject(
        ObjectKey(ObjectKind.HOST, "h"),
        {"Name": "h", "Settings": {"KeyPair": {"Key": "x"}}},
        None,
        None,
    )


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_of_zero_is_none(limit):
    request = parse_request("GET", f"/v2/top/servers?limit={limit}", {}, b"")
    assert request == TopQuery(ObjectKind.SERVER, "", None)


@pytest.mark.parametrize(
    ("target", "document", "reason"),
    [
        ("/v2/backends", {"Server": {"Id": "b"}}, 'must be {"Backend": {...}}'),
        ("/v2/backends", {"Backend": {"Id": "b"}, "TTL": "1s"}, "a Backend cannot have a TTL"),
        ("/v2/backends", {"Backend": {"Id": "a/b"}}, "contains a slash"),
        ("/v2/hosts", {"Host": {"Id": "h"}}, "Host: the id is missing"),
        ("/v2/frontends", {"Frontend": {"Id": "f"}, "TTL": "soon"}, "is not a duration"),
    ],
)
def test_a_body_that_is_no_object_is_refused_with_the_reason(target, document, reason):
    with pytest.raises(ApiError) as refused:
        put(document, target)
    assert reason in str(refused.value)
    assert refused.value.status == 400


def test_the_latest_traffic_is_limited_to_a_backend_and_a_number_of_rows():
    assert parse_request("GET", "/v2/top/servers?limit=5&backendId=b", {}, b"") == TopQuery(
        ObjectKind.SERVER, "b", 5
    )
    assert parse_request("GET", "/v2/top/frontends", {}, b"") == TopQuery(
        ObjectKind.FRONTEND, "", 100
    )


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/apply", 404),
        ("POST", "/v2/nothing", 404),
        ("DELETE", "/v2/hosts", 404),
        ("PUT", "/v2/hosts", 405),
        ("PATCH", "/v2/hosts/h", 405),
    ],
)
def test_a_request_that_has_no_row_is_404_or_405(method, target, status):
    with pytest.raises(ApiError) as refused:
        parse_request(method, target, {}, b"")
    assert refused.value.status == status


def test_each_method_and_path_has_one_row():
    rows = [(each.method, each.path) for each in OPERATIONS]
    assert len(rows) == len(set(rows))


TOO_LONG = "9" * 5000


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("GET", "/v2/top/frontends?limit=%C2%B2", {}),
        ("GET", "/v2/top/frontends?limit=%X10%X6", {}),
        ("GET", f"/v2/top/servers?limit={TOO_LONG}", {}),
        ("GET", "/v2/explain?url=//[", {}),
        ("GET", "/v2/explain?url=http://h%E2%84%80/", {}),
        ("DELETE", "/v2/hosts/h?prevIndex=%C2%B2", {}),
        ("DELETE", "/v2/hosts/h", {b"if-match": TOO_LONG.encode()}),
    ],
)
def test_a_malformed_value_is_refused_by_name(method, target, fields):
    with pytest.raises(
        ApiError, match=r"^(limit|url|the index of If-Match or prevIndex) is "
    ) as no:
        parse_request(method, target, fields, b"")
    assert no.value.status == 400
