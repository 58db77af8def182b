"""The options that name the store."""

import pytest

from locksmith.store import store_options


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://a:1", "http://us%3Aer:p%40ss%2F@a:1"),
        ("https://a:1/x@y", "https://us%3Aer:p%40ss%2F@a:1/x@y"),
        ("http://own:login@a:1", "http://own:login@a:1"),
        ("nonsense", "nonsense"),
    ],
)
def test_credentials_are_added_to_urls_that_have_none(url: str, written: str) -> None:
    assert store_options.with_credentials(url, "us:er", "p@ss/") == written
    assert store_options.with_credentials(url, "", "p") == url
