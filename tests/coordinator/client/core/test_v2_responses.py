"""Responses of the v2 API."""

import pytest

from coordinator.client.core import v2_responses
from coordinator.client.core.errors import HistoryCleared, KeyNotFound, Unavailable
from coordinator.client.core.store_protocol import Entry, Event, Progress


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ('{"action":"progress","index":9}', Progress(9)),
        ('{"action":"delete","node":{"key":"/p/x","modifiedIndex":9}}', Event(9, "/p/x", None)),
        (
            '{"action":"expire","node":{"key":"/","dir":true,"modifiedIndex":9}}',
            Event(9, "/p", None),
        ),
        ('{"action":"delete","node":{"key":"/px","modifiedIndex":9}}', Progress(9)),
        ('{"action":"delete","node":{"key":"/p/_x","modifiedIndex":9}}', Progress(9)),
        ('{"action":"set","node":{"key":"/","value":"","modifiedIndex":9}}', Progress(9)),
        ('{"action":"create","node":{"key":"/p/d","dir":true,"modifiedIndex":9}}', Progress(9)),
        (
            (
                '{"action":"set","node":{"key":"/p/d","dir":true,"modifiedIndex":9},'
                '"prevNode":{"key":"/p/d","value":"v"}}'
            ),
            Event(9, "/p/d", None),
        ),
        (
            (
                '{"action":"update","node":{"key":"/p/d","dir":true,"modifiedIndex":9},'
                '"prevNode":{"key":"/p/d","dir":true}}'
            ),
            Progress(9),
        ),
        (
            (
                '{"action":"compareAndSwap","node":{"key":"/p","value":"v","modifiedIndex":9,'
                '"createdIndex":4,"expiration":"1970-01-01T00:01:00.123456789Z"}}'
            ),
            Event(9, "/p", Entry("/p", "v", 4, 9, 60.123457)),
        ),
    ],
)
def test_an_event_becomes_the_change_below_the_prefix(line: str, change: Event | Progress) -> None:
    assert v2_responses.decode(line.encode()).change("/p", hidden=False) == change


def test_an_unknown_action_asks_for_a_new_listing() -> None:
    line = b'{"action":"merge","node":{"key":"/p","modifiedIndex":9}}'
    with pytest.raises(HistoryCleared, match="merge"):
        v2_responses.decode(line).change("/p", hidden=True)


def test_an_error_names_the_request_and_the_servers_message() -> None:
    line = b'{"errorCode":100,"message":"Key not found","cause":"/a","index":4}'
    error = v2_responses.decode(line).error("get /a/b")
    assert isinstance(error, KeyNotFound)
    assert str(error) == "get /a/b: Key not found (/a)"
    assert isinstance(
        v2_responses.decode(b'{"errorCode":301,"message":"x"}').error(""), Unavailable
    )
