"""Keys as paths, and the prefixes that hold them."""

import pytest

from coordinator.client.core import key_paths


@pytest.mark.parametrize(
    ("prefix", "key", "held"),
    [
        ("/", "/a", True),
        ("/", "/", True),
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a/b", "/a", False),
    ],
)
def test_a_prefix_matches_whole_segments(prefix: str, key: str, *, held: bool) -> None:
    assert key_paths.holds(prefix, key) == held


@pytest.mark.parametrize(
    ("prefix", "key", "hidden"),
    [
        ("/", "/_a", True),
        ("/", "/a_b", False),
        ("/a", "/a/_b/c", True),
        ("/_a", "/_a/b", False),
        ("/_a", "/_a", False),
    ],
)
def test_an_underscore_hides_a_key_below_the_prefix(prefix: str, key: str, *, hidden: bool) -> None:
    assert key_paths.is_hidden(prefix, key) == hidden


def test_the_nearest_parent_comes_first() -> None:
    assert key_paths.parents("/a/b/c") == ["/a/b", "/a"]
    assert key_paths.parents("/a") == []


def test_a_key_is_percent_encoded_in_a_url() -> None:
    assert key_paths.url_path("/a b/%2F/ü?#") == "/v2/keys/a%20b/%252F/%C3%BC%3F%23"
    assert key_paths.url_path("/") == "/v2/keys"
