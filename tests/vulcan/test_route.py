import pytest

from vulcan.pattern import Exact
from vulcan.route import Facts, RouteError, compile_route, normal_host


def holds(text: str, **facts) -> bool:
    defaults = {"host": b"h", "path": b"/"}
    return compile_route(text).holds(Facts(**{**defaults, **facts}))


def test_a_route_holds_when_all_its_calls_do():
    text = 'Host("a.example") && Path("/x/<y>") && Method("GET")'
    assert holds(text, host=b"a.example", path=b"/x/1")
    assert not holds(text, host=b"b.example", path=b"/x/1")
    assert not holds(text, host=b"a.example", path=b"/z")
    assert not holds(text, host=b"a.example", path=b"/x/1", method=b"POST")


def test_hosts_compare_without_case_final_dot_and_brackets():
    assert compile_route('Host("WWW.Example.COM.")').host == Exact(b"www.example.com")
    assert compile_route('Host("[::1]")').host == Exact(b"::1")
    assert normal_host("A.b.") == "a.b"


def test_a_header_is_its_first_value_and_empty_when_missing():
    headers = ((b"X-Version", b"2"), (b"x-version", b"3"))
    assert holds('Header("x-VERSION", "2")', headers=headers)
    assert not holds('Header("X-Version", "3")', headers=headers)
    assert holds('Header("X-Other", "<any>")', headers=headers)


def test_a_second_condition_on_the_same_subject_counts_too():
    assert holds('Path("/<a>/b") && Path("/x/<b>")', path=b"/x/b")
    assert not holds('Path("/<a>/b") && Path("/x/<b>")', path=b"/y/b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('PathRegexp("/.*")', r"PathRegexp at character 1 is not supported: use Path with"),
        ('Host("a") && HostRegexp(".*")', "HostRegexp at character 14 is not supported"),
        ('Query("a")', "Query at character 1 is not a matcher: use Host, Path, Method, Header"),
        ('path("/")', "path at character 1 is not a matcher"),
        ('Host("a", "b")', r"Host at character 1 takes 1 \(pattern\), not 2"),
        ('Header("a")', r"Header at character 1 takes 2 \(name, pattern\), not 1"),
        ("Path()", "takes 1"),
        ('Path("")', "Path at character 1: an empty pattern"),
    ],
)
def test_a_call_that_cannot_be_used_is_refused_by_name_and_place(text, complaint):
    with pytest.raises(RouteError, match=complaint):
        compile_route(text)


def test_routes_are_the_same_when_their_conditions_are():
    assert (
        compile_route('Host("a")&&Path("/<x>")').key
        == compile_route('Path(`/<y>`) && Host("A")').key
    )
    assert compile_route('Host("a")').key != compile_route('Path("/a")').key


def test_routes_rank_by_host_then_path_then_method_then_number():
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
        'Method("GET")',
    ]
    ranks = [compile_route(text).rank for text in texts]
    assert ranks == sorted(ranks)
