"""Requests to the keys API."""

import pytest

from coordinator.core.ctl import key_requests


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", "/v2/keys/a"),
        ("/a/", "/v2/keys/a"),
        ("//b/../c", "/v2/keys/c"),
        ("/", "/v2/keys/"),
        ("", "/v2/keys/"),
        ("/a b#?é", "/v2/keys/a%20b%23%3F%C3%A9"),
    ],
)
def test_a_key_becomes_a_clean_path(key: str, path: str) -> None:
    assert key_requests.path(key) == path
