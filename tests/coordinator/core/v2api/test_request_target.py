"""Request targets, and the redirect of unclean ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.v2api.request_target import (
    BadTarget,
    Redirect,
    RequestTarget,
    clean,
    redirect,
    split,
)


@pytest.mark.parametrize(
    ("path", "tidy"),
    [
        (b"", b"/"),
        (b"/", b"/"),
        (b"//", b"/"),
        (b"/a/", b"/a/"),
        (b"/a//", b"/a/"),
        (b"//a/./b", b"/a/b"),
        (b"/a/..", b"/"),
        (b"/../../a", b"/a"),
        (b"/a/b/.", b"/a/b"),
        (b"/a/...", b"/a/..."),
        (b"a", b"/a"),
    ],
)
def test_a_path_is_cleaned(path: bytes, tidy: bytes) -> None:
    assert clean(path) == tidy


@given(st.lists(st.sampled_from([b"/", b".", b"..", b"a", b"\xff"])).map(b"".join))
def test_a_clean_path_is_clean(path: bytes) -> None:
    assert clean(clean(path)) == clean(path)


def test_a_target_is_decoded_once_and_its_query_is_not_changed() -> None:
    assert split(b"/a%2Fb%252f?x=%2F?y") == RequestTarget(b"/a/b%2f", b"x=%2F?y")
    assert split(b"http://host:1/a?b") == RequestTarget(b"/a", b"b")
    assert split(b"HTTPS://host") == RequestTarget(b"", b"")
    assert split(b"/a+b") == RequestTarget(b"/a+b", b"")


@pytest.mark.parametrize("target", [b"/%", b"/%2", b"/a%zz", b"/%%41"])
def test_half_an_escape_in_a_path_is_a_bad_target(target: bytes) -> None:
    assert split(target) == BadTarget()


def test_a_get_is_redirected_with_a_page_and_other_methods_without() -> None:
    target = RequestTarget(b"/v2/keys//a '<", b"x=<y>&z='\"\xff")
    location = b"/v2/keys/a%20%27%3C?x=<y>&z='\"%ff"
    page = (
        b'<a href="/v2/keys/a%20%27%3C?x=&lt;y&gt;&amp;z=&#39;&#34;\xff">Moved Permanently</a>.\n\n'
    )
    html = b"text/html; charset=utf-8"
    assert redirect(b"GET", target) == Redirect(location, page, html)
    assert redirect(b"HEAD", target) == Redirect(location, b"", html)
    assert redirect(b"PUT", target) == Redirect(location, b"", b"")
