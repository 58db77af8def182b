"""Responses of the v3 API."""

import pytest

from coordinator.client.core import v3_responses
from coordinator.client.core.errors import (
    BadRequest,
    HistoryCleared,
    StoreError,
    Unauthorized,
    Unavailable,
)
from coordinator.client.core.json_lines import MalformedResponse


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":"e","message":"etcdserver: permission denied","code":7}', Unauthorized),
        (b'{"code":7,"message":"etcdserver: permission denied","details":[]}', Unauthorized),
        (b'{"code":16,"message":"etcdserver: invalid auth token"}', Unauthorized),
        (b'{"code":3,"message":"etcdserver: user name is empty"}', Unauthorized),
        (b'{"code":11,"message":"required revision has been compacted"}', HistoryCleared),
        (b'{"code":14,"message":"etcdserver: no leader"}', Unavailable),
        (
            b'{"code":5,"message":"etcdserver: requested lease not found"}',
            v3_responses.LeaseExpired,
        ),
        (b'{"code":9,"message":"etcdserver: lease already exists"}', v3_responses.LeaseTaken),
        (b'{"code":3,"message":"etcdserver: request is too large"}', BadRequest),
        (b'{"grpc_code":14,"http_code":503,"message":"closing"}', Unavailable),
    ],
)
def test_an_error_of_each_version_becomes_a_store_error(
    body: bytes, kind: type[StoreError]
) -> None:
    error = v3_responses.gateway_error(body).store_error("get /a")
    assert type(error) is kind
    assert "get /a" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b"\xff"])
def test_a_body_that_is_not_an_error_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponse):
        v3_responses.gateway_error(body)
