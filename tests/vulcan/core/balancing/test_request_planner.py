"""The frontend of a request head, and when its plan is computed again."""

import pytest

from daemonkit.core.framing import BadMessage, RequestHead, parse_request_head
from rig.vulcan_keys import PREFIX, Entry, changes, entry, frontend, server
from vulcan.core.balancing.frontend_state import FrontendStates
from vulcan.core.balancing.request_planner import RequestPlanner
from vulcan.core.config.table import Table
from vulcan.core.routing.route import compile_route


def planner(*entries: Entry) -> RequestPlanner:
    made = RequestPlanner(Table(PREFIX), FrontendStates(0, lambda: 0.0))
    follow(made, server("s", "http://s:1"), *entries)
    return made


def follow(made: RequestPlanner, *entries: Entry, removed: tuple[str, ...] = ()) -> None:
    made.follow(made.table.advanced(changes(*entries, removed=removed)))


def head(*lines: str, host: str = "h", path: str = "/a") -> RequestHead:
    text = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""])
    return parse_request_head(text.encode())


def no_peer() -> bytes:
    raise AssertionError("nobody needs the client's address")


def test_a_plan_is_cached_in_its_request_head():
    made, asked = planner(frontend("f", 'Host("h")')), head()
    plan = made.plan(asked, None, no_peer, secure=False)
    assert plan is not None
    assert (plan.frontend.id, plan.idempotent, plan.has_body) == ("f", True, False)
    assert made.cached(asked, secure=False) is plan
    assert made.cached(asked, secure=True) is None


def test_a_change_of_frontends_makes_cached_plans_void():
    made, asked = planner(frontend("f", 'Host("h")')), head()
    made.plan(asked, None, no_peer, secure=False)
    follow(made, server("other", "http://s:2"))
    assert made.cached(asked, secure=False) is not None
    follow(made, frontend("g", 'Host("g")'))
    assert made.cached(asked, secure=False) is None


def test_a_request_without_a_frontend_has_no_plan():
    assert planner().plan(head(), None, no_peer, secure=False) is None


def test_a_malformed_target_is_an_error():
    with pytest.raises(BadMessage):
        planner().plan(head(host="a b"), None, no_peer, secure=False)


def test_a_path_that_could_belong_to_two_frontends_is_an_error():
    made = planner(frontend("f", 'PathPrefix("/")'), frontend("g", 'Path("/b/<x>")'))
    with pytest.raises(BadMessage, match="another frontend"):
        made.plan(head(path="/a/..%2fb/c"), None, no_peer, secure=False)
    with pytest.raises(BadMessage, match="another frontend"):
        made.plan(head(path="/b/c%2fd"), None, no_peer, secure=False)
    plan = made.plan(head(path="/a/c%2fd"), None, no_peer, secure=False)
    assert plan is not None
    assert (plan.frontend.id, plan.target.origin_form) == ("f", b"/a/c%2Fd")


def test_a_scope_cannot_be_gone_past_by_the_spelling_of_a_path():
    made, scope = planner(frontend("f", 'PathPrefix("/")')), compile_route('!PathPrefix("/b")')
    with pytest.raises(BadMessage, match="another frontend"):
        made.plan(head(path="/a/..%2fb"), scope, lambda: b"10.1.1.1", secure=False)
    assert made.plan(head(path="/a/../b"), scope, lambda: b"10.1.1.1", secure=False) is None


def test_a_scope_is_checked_for_each_request():
    made, asked = planner(frontend("f", 'Host("h")')), head()
    inside, outside = compile_route('ClientIP("10.0.0.0/8")'), compile_route('Host("g")')
    assert made.plan(asked, inside, lambda: b"10.1.1.1", secure=False) is not None
    assert made.plan(asked, outside, lambda: b"10.1.1.1", secure=False) is None
    assert made.cached(asked, secure=False) is None


def test_plans_that_depend_on_the_client_address_are_not_cached():
    made, asked = planner(frontend("f", 'ClientIP("10.0.0.0/8")')), head()
    assert made.plan(asked, None, lambda: b"10.1.1.1", secure=False) is not None
    assert made.plan(asked, None, lambda: b"192.0.2.1", secure=False) is None
    assert made.cached(asked, secure=False) is None


def test_a_headers_middleware_changes_the_head_for_the_server():
    edits = {"Type": "headers", "Middleware": {"Request": {"X-A": "b"}, "RemoveRequest": ["X-C"]}}
    made = planner(frontend("f", 'Host("h")'), entry("frontends/f/middlewares/m", edits))
    plan = made.plan(head("X-C: d", "X-E: f"), None, no_peer, secure=False)
    assert plan is not None
    sent = plan.upstream_head.with_target(b"PUT", b"/z").render(b"Host: s\r\n", b"10.1.1.1", b"t")
    assert sent.startswith(b"PUT /z HTTP/1.1\r\nHost: s\r\nX-E: f\r\nX-A: b\r\n")


def test_a_frontend_keeps_its_state_while_its_key_stays():
    made = planner(frontend("f", 'Host("h")'))
    state = made.states.by_id["f"]
    limit = {"Type": "connlimit", "Middleware": {"Connections": 1}}
    follow(made, frontend("f", 'Host("g")'), entry("frontends/f/middlewares/m", limit))
    assert made.states.by_id["f"] is state
    assert state.chain is not None
    follow(made, removed=("frontends/f/frontend", "frontends/f/middlewares/m"))
    assert made.states.by_id == {}
