import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan.core.routing.normal_path import normalize, path_literal


@pytest.mark.parametrize(
    ("path", "forwarded"),
    [
        (b"/a/b.c/~d", b"/a/b.c/~d"),
        (b"/x/../admin", b"/admin"),
        (b"/x/%2e%2E/admin", b"/admin"),
        (b"/x/./y/.", b"/x/y/"),
        (b"/x/..", b"/"),
        (b"/../../admin", b"/admin"),
        (b"/%61dmin", b"/admin"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a//../b", b"/a/b"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/...", b"/..."),
        (b"//a", b"//a"),
        (b"/%40a", b"/%40a"),
        (b"/%252e%252e/a", b"/%252e%252e/a"),
    ],
)
def test_the_server_gets_a_path_without_dot_segments_and_needless_escapes(path, forwarded):
    assert normalize(path).forwarded == forwarded


@pytest.mark.parametrize(
    ("path", "matched"),
    [
        (b"//admin", b"/admin"),
        (b"/a///b", b"/a/b"),
        (b"/%40a%20b", b"/@a b"),
        (b"/%c3%a9", "/é".encode()),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%0db", b"/a%0Db"),
        (b"/a%3bb%25", b"/a%3Bb%25"),
    ],
)
def test_routes_see_a_decoded_path_whose_structure_is_the_same(path, matched):
    assert normalize(path).matched == matched
    assert path_literal(path.decode()) == matched


@pytest.mark.parametrize(
    ("path", "lenient"),
    [
        (b"/x%2f..%2fadmin", b"/admin"),
        (b"/x/..%5cadmin", b"/admin"),
        (b"/x\\..\\admin", b"/admin"),
        (b"/%2fadmin", b"/admin"),
        (b"/a%2fb", b"/a/b"),
        (b"/x/..;/admin", b"/admin"),
        (b"/x/..;a=b/admin", b"/admin"),
        (b"/;x/admin", b"/admin"),
        (b"/admin%3bx", b"/admin"),
        (b"/a//..%2fb", b"/b"),
        (b"/plain/%40a", b"/plain/@a"),
    ],
)
def test_the_lenient_reading_is_that_of_servers_which_decode_first(path, lenient):
    assert normalize(path).lenient == lenient


@pytest.mark.parametrize("path", [b"/%", b"/%6", b"/%zz", b"/a%00", b"/a/%2"])
def test_a_malformed_escape_is_refused(path):
    with pytest.raises(ValueError, match="escape"):
        normalize(path)


@given(st.lists(st.sampled_from(
    [b"/", b"//", b".", b"..", b"%2e", b"%2E", b"%2f", b"%5C", b"\\", b";", b"%3b", b"a", b"%61",
     b"%25", b"%40", b"\xc3"])))  # fmt: skip
def test_a_normal_path_is_normal(parts):
    once = normalize(b"/" + b"".join(parts))
    again = normalize(once.forwarded)
    assert again.forwarded == once.forwarded
    assert (again.matched, again.lenient) == (once.matched, once.lenient)
    for reading in (once.forwarded, once.matched, once.lenient):
        assert not {b".", b".."} & set(reading.split(b"/"))
        assert reading is once.forwarded or b"//" not in reading
