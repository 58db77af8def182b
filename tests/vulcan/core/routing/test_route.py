import pytest

from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.placeholders import Exact
from vulcan.core.routing.request_view import RequestView, normal_host
from vulcan.core.routing.route import Alternative, compile_route


def holds(text: str, **view) -> bool:
    defaults = {"host": b"h", "path": b"/"}
    return compile_route(text).holds(RequestView(**{**defaults, **view}))


def only(text: str) -> Alternative:
    (alternative,) = compile_route(text).alternatives
    return alternative


def test_a_route_matches_when_all_its_calls_do():
    text = 'Host("a.example") && Path("/x/<y>") && Method("GET")'
    assert holds(text, host=b"a.example", path=b"/x/1")
    assert not holds(text, host=b"b.example", path=b"/x/1")
    assert not holds(text, host=b"a.example", path=b"/z")
    assert not holds(text, host=b"a.example", path=b"/x/1", method=b"POST")


def test_hosts_are_compared_without_case_final_dot_and_brackets():
    assert only('Host("WWW.Example.COM.")').host == Exact(b"www.example.com")
    assert only('Host("[::1]")').host == Exact(b"::1")
    assert normal_host("A.b.") == "a.b"


def test_a_header_condition_sees_the_first_value_and_an_empty_one_when_missing():
    headers = ((b"X-Version", b"2"), (b"x-version", b"3"))
    assert holds('Header("x-VERSION", "2")', headers=headers)
    assert not holds('Header("X-Version", "3")', headers=headers)
    assert holds('Header("X-Other", "<any>")', headers=headers)


def test_a_second_condition_on_the_path_applies_too():
    assert holds('Path("/<a>/b") && Path("/x/<b>")', path=b"/x/b")
    assert not holds('Path("/<a>/b") && Path("/x/<b>")', path=b"/y/b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('PathRegexp("/(")', r"PathRegexp at character 1: a \( without its \)"),
        ('Cookie("a")', "Cookie at character 1 is not a matcher: use Host, HostRegexp, Path"),
        ('Host("a") == "b"', "the operator == at character 11 is not allowed in a route"),
        ('ClientIP("10.0.0.0/40")', "'10.0.0.0/40' is not an address or network"),
        ('PathPrefix("a")', "a path prefix must begin with /"),
        ("Path(1)", "takes 1 string"),
        (
            " && ".join(['(Path("/a") || Path("/b"))'] * 7),
            "more than 64 alternatives: write several frontends",
        ),
        ('path("/")', "path at character 1 is not a matcher"),
        ('Host("a", "b")', r"Host at character 1 takes 1 string \(pattern\), not 2"),
        ('Header("a")', r"Header at character 1 takes 2 strings \(name, pattern\), not 1"),
        ("Path()", "takes 1"),
        ('Path("")', "Path at character 1: an empty pattern"),
    ],
)
def test_an_invalid_call_is_refused_with_name_and_position(text, complaint):
    with pytest.raises(ExpressionError, match=complaint):
        compile_route(text)


def test_routes_with_the_same_conditions_are_equal():
    assert (
        only('Host("a")&&Path("/<x>") && Method("G")').key
        == only('Method("G") && Path(`/<y>`) && Host("A")').key
    )
    assert only('Host("a")').key != only('Path("/a")').key
    assert only('!Host("a")').key != only('Host("a")').key


def test_routes_are_ranked_by_host_path_method_and_number_of_conditions():
    texts = [
        'Host("a.b") && Path("/x")',
        'Host("a.b")',
        'Host("<x>.b") && Path("/x")',
        'Path("/x") && Method("GET") && Header("A", "b")',
        'Path("/x") && Method("GET")',
        'Path("/x") && Header("A", "b") && Header("B", "b")',
        'Path("/x") && Header("A", "b")',
        'Path("/x")',
        'Path("/<y>")',
        'PathPrefix("/")',
        'PathRegexp("^/a.*")',
        'PathRegexp("a.*")',
        'Method("GET")',
    ]
    ranks = [only(text).rank for text in texts]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("text", "view", "expected"),
    [
        ('Host("a") || Host("b")', {"host": b"b"}, True),
        ('Host("a") || Host("b")', {"host": b"c"}, False),
        ('!Host("a")', {"host": b"b"}, True),
        ('!(Host("a") || Path("/x"))', {"host": b"b", "path": b"/x"}, False),
        ('!(Host("a") && Path("/x"))', {"host": b"a", "path": b"/y"}, True),
        ('!!Host("a")', {"host": b"a"}, True),
        ('Host("a") && (Path("/x") || !Method("GET"))', {"host": b"a", "method": b"PUT"}, True),
        ('PathPrefix("/api")', {"path": b"/api/v1"}, True),
        ('PathPrefix("/api")', {"path": b"/ap"}, False),
        ('HostRegexp("^W+[.]x$")', {"host": b"ww.x"}, True),
        ('PathRegexp("b+$")', {"path": b"/abb"}, True),
        ('MethodRegexp("^(GET|PUT)$")', {"method": b"POST"}, False),
        ('HeaderRegexp("A", "[0-9]")', {"headers": ((b"a", b"x1"),)}, True),
        ('Query("v", "2")', {"query": b"a=1&v=2"}, True),
        ('Query("v", "2")', {"query": b"V=2"}, False),
        ('ClientIP("10.0.0.0/8")', {"peer": b"10.1.2.3"}, True),
        ('ClientIP("fd00::/8")', {"peer": b"10.1.2.3"}, False),
        ('ClientIP("10.0.0.1")', {"peer": b""}, False),
    ],
)
def test_our_own_matchers_and_all_operators_work(text, view, expected):
    assert holds(text, **view) is expected


def test_a_route_knows_whether_it_needs_the_address_of_the_client():
    assert compile_route('Host("a") || ClientIP("::1")').needs_peer
    assert not compile_route('Host("a")').needs_peer


def test_a_path_is_written_encoded_or_decoded():
    for text in ('Path("/a b/<x>")', 'Path("/a%20b/<x>")', 'PathPrefix("/a%20b")'):
        assert holds(text, path=b"/a b/c")
    assert holds('PathPrefix("//a")', path=b"/a")
    assert holds('Path("/a%2fb")', path=b"/a%2Fb")
    assert only('Path("/a%3Cx%3E")').path == Exact(b"/a<x>")


def test_a_query_parameter_is_compared_decoded():
    for query in (b"a%64min=1", b"x=&admin=%31", b"admin=1&admin=2"):
        assert holds('Query("admin", "1")', query=query)
        assert holds('Query("adm%69n", "1")', query=query)
    assert not holds('Query("a", "b")', query=b"x=a%26a=b")
