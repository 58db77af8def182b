"""Explanations of where a request would go."""

import pytest

from rig.vulcan_keys import PREFIX, changes, frontend, server
from vulcan.core.config.table import Table
from vulcan.core.control.explain import ExplainQuery, explain, split_url


def query(url: str, *headers: tuple[str, str]) -> ExplainQuery:
    return ExplainQuery("GET", split_url(url), headers)


TABLE = Table(PREFIX).advanced(
    changes(
        server("s1", "http://h:1"),
        server("s2", "http://h:2"),
        frontend("any", 'Path("/<path:rest>")'),
        frontend("post", 'Path("/a") && Method("POST")'),
        frontend("alone", 'Path("/alone")', "missing"),
        reset=True,
    )
)


def test_candidates_are_named_with_the_first_condition_that_fails():
    explanation = explain(TABLE, query("http://h/a"))
    failing = {each["Frontend"]: each["Fails"] for each in explanation["Candidates"]}
    assert failing == {"post": 'Method("POST")', "any": None}
    assert explanation["Frontend"] == "any"


def test_the_first_choice_among_several_servers_is_named_with_the_reason():
    explanation = explain(TABLE, query("http://h/a"))
    assert explanation["Server"] in {"s1", "s2"}
    assert explanation["Why"] == "one of 2, in turn, by weight"
    assert explanation["Answer"] == "goes to a server of b"


def test_a_server_that_fails_its_checks_is_not_chosen():
    explanation = explain(TABLE, query("http://h/a"), {("b", "http://h:1")})
    assert [each["Down"] for each in explanation["Servers"]] == [True, False]
    assert explanation["Server"] == "s2"
    assert explanation["Why"] == "the only available server"


def test_a_request_without_a_route_is_404_and_one_without_servers_is_503():
    assert explain(Table(PREFIX), query("/"))["Answer"] == "404: no route matches"
    pending = explain(TABLE, query("http://h/alone"))
    assert pending["Answer"] == "503: backend missing is not defined"


def test_the_host_header_wins_over_the_host_of_the_url():
    explanation = explain(TABLE, query("http://a/", ("Host", "B.example:80")))
    assert explanation["Host"] == "b.example"


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://h/a", "h", "/a"),
        ("https://H:8443/a?b=c", "h", "/a"),
        ("h/a", "h", "/a"),
        ("h", "h", "/"),
        ("/a", "", "/a"),
        ("/a/b:c", "", "/a/b:c"),
    ],
)
def test_a_url_may_have_no_scheme_or_be_a_path(url, host, path):
    explanation = explain(TABLE, query(url))
    assert (explanation["Host"], explanation["Path"]) == (host, path)


def test_a_path_is_explained_as_routes_see_it():
    assert explain(TABLE, query("http://h/x/%2e%2e/%61"))["Path"] == "/a"
    refused = explain(TABLE, query("http://h/alone%2fx"))
    assert refused["Answer"].startswith("goes to")
    for url, reason in (("http://h/x/..%2falone", "another frontend"), ("http://h/%zz", "%")):
        refused = explain(TABLE, query(url))
        assert refused["Frontend"] is None
        assert refused["Answer"].startswith("400: ")
        assert reason in refused["Answer"]
