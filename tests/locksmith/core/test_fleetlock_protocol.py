"""Requests of the FleetLock protocol."""

from locksmith.core import fleetlock_protocol
from locksmith.core.fleetlock_protocol import Reply, Request

FIELDS = {b"fleet-lock-protocol": b"true"}


def test_default_group_has_no_name_in_the_store() -> None:
    body = b'{"client_params":{"id":"a","group":"default"}, "more": 1}'
    found = fleetlock_protocol.parse(b"POST", b"/base/v1/pre-reboot", FIELDS, body)
    assert isinstance(found, Reply)
    assert found.status == 404
    found = fleetlock_protocol.parse(b"POST", b"/v1/pre-reboot?x", FIELDS, body)
    assert isinstance(found, Request)
    assert found.group == ""
