from hypothesis import given
from hypothesis import strategies as st

from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.route import compile_route
from vulcan.core.routing.router import Router, Rule, rules_of

HOSTS = [
    "",
    'HostRegexp("^[ab][.]x$")',
    'Host("a.x")',
    'Host("b.x")',
    'Host("<s>.x")',
    'Host("<s>.<t>")',
    'Host("w<s>.x")',
]
PATHS = [
    "",
    'PathPrefix("/p")',
    'PathRegexp("^/p.*a$")',
    'PathRegexp("p")',
    'Path("/p")',
    'Path("/p/<i>")',
    'Path("/p/<int:i>")',
    'Path("/<path:r>")',
]
REST = [
    "",
    '!Path("/p")',
    '!Header("H", "<x>")',
    'Method("GET")',
    'Header("H", "v")',
    'Path("/<x>")',
]


def rule(name: str, text: str, priority: int = 0) -> Rule:
    (made,) = rules_of(name, compile_route(text), priority)
    return made


def routed(rules: dict[str, str], host: str, path: str, method: str = "GET") -> str | None:
    router = Router().replaced([], [rule(name, text) for name, text in rules.items()])
    return router.find(RequestView(host.encode(), path.encode(), method.encode()))


def test_an_empty_router_finds_nothing():
    assert Router().find(RequestView(b"h", b"/")) is None


def test_the_more_specific_host_then_path_wins():
    rules = {
        "any": 'Path("/a")',
        "wild": 'Host("<s>.x") && Path("/a")',
        "host": 'Host("w.x")',
        "both": 'Host("w.x") && Path("/<path:p>")',
    }
    assert routed(rules, "w.x", "/a") == "both"
    assert routed(rules, "v.x", "/a") == "wild"
    assert routed(rules, "y", "/a") == "any"
    assert routed(rules, "y", "/b") is None


def test_a_larger_priority_wins_over_a_more_specific_route():
    router = Router().replaced(
        [], [rule("exact", 'Host("h") && Path("/")'), rule("loud", 'Path("/<path:x>")', 5)]
    )
    assert router.find(RequestView(b"h", b"/")) == "loud"


def test_of_equal_routes_the_smaller_id_wins_and_shadows_the_other():
    router = Router().replaced(
        [],
        [rule("f2", 'Path("/<a>")'), rule("f1", 'Path("/<b>")'), rule("f3", 'Path("/a")')],
    )
    assert router.find(RequestView(b"h", b"/x")) == "f1"
    assert router.shadowed() == {"f2": "f1"}


def test_removing_the_winner_makes_the_shadowed_route_match():
    one, two = rule("f1", 'Path("/a")'), rule("f2", 'Path("/a")')
    router = Router().replaced([], [one, two]).replaced([one], [])
    assert router.find(RequestView(b"h", b"/a")) == "f2"
    assert router.replaced([two], []) == Router()


ROUTES = st.tuples(
    st.sampled_from(HOSTS), st.sampled_from(PATHS), st.sampled_from(REST), st.integers(-1, 1)
).filter(lambda parts: any(parts[:3]))
FACTS = st.builds(
    RequestView,
    st.sampled_from([b"a.x", b"b.x", b"w1.x", b"c.y", b"z"]),
    st.sampled_from([b"/p", b"/p/1", b"/p/a", b"/", b"/q/r"]),
    st.sampled_from([b"GET", b"POST"]),
    st.sampled_from([(), ((b"h", b"v"),)]),
)


@given(st.lists(ROUTES, max_size=8), st.sets(st.integers(0, 7)), FACTS)
def test_the_router_agrees_with_trying_every_rule_in_order(routes, removed, view):
    rules = [
        rule(f"f{number}", " && ".join(part for part in parts[:3] if part), parts[3])
        for number, parts in enumerate(routes)
    ]
    gone = [rules[number] for number in removed if number < len(rules)]
    left = [each for each in rules if each not in gone]
    router = Router().replaced([], rules).replaced(gone, [])
    best = next(
        (r.frontend for r in sorted(left, key=lambda r: r.order) if r.alternative.holds(view)), None
    )
    assert router.find(view) == best


def test_each_alternative_of_a_route_is_found_and_ranked_by_itself():
    alternatives = rules_of("f", compile_route('Host("a") && Path("/x") || Path("/y")'), 0)
    router = Router().replaced([], [*alternatives, rule("g", 'Path("/<z>")')])
    assert router.find(RequestView(b"a", b"/x")) == "f"
    assert router.find(RequestView(b"b", b"/x")) == "g"
    assert router.find(RequestView(b"b", b"/y")) == "f"


def test_in_vulcands_order_the_larger_text_wins():
    texts = {
        "regexp": 'PathRegexp("/.*")',
        "longer": 'Path("/r/hello")',
        "host": 'Host("x") && Path("/r/hello")',
        "placeholder": 'Path("/<id>")',
        "digit": 'Path("/1")',
    }
    rules = [
        each
        for name, text in texts.items()
        for each in rules_of(name, compile_route(text), 0, bytewise=True)
    ]
    router = Router().replaced([], rules)
    assert router.find(RequestView(b"x", b"/r/hello")) == "regexp"
    shadowed = Router().replaced([], rules[1:])
    assert shadowed.find(RequestView(b"x", b"/r/hello")) == "longer"
    assert shadowed.find(RequestView(b"x", b"/1")) == "placeholder"


def test_candidates_are_listed_in_the_order_of_trying():
    rules = [rule("b", 'Path("/a") && Method("POST")'), rule("a", 'PathPrefix("/")')]
    found = Router().replaced([], rules).candidates(RequestView(b"h", b"/a"))
    assert [each.frontend for each in found] == ["b", "a"]
    failing = found[0].alternative.failing(RequestView(b"h", b"/a"))
    assert failing is not None
    assert failing.text == 'Method("POST")'
